// Parts of a page that come anew as HTML: only those that changed are replaced, and what had the
// focus keeps it.

const drawn = new Map(); // part → its HTML as it came, before anything was written into it

export function replaceParts(parts, html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  for (const part of fresh.children) put(parts, part);
  for (const part of [...parts.children]) if (!fresh.querySelector(`#${part.id}`)) part.remove();
}

function put(parts, part) {
  const html = part.outerHTML;
  const old = document.getElementById(part.id);
  if (old && drawn.get(part.id) === html) return;
  drawn.set(part.id, html);
  const twin = part.cloneNode(true);
  if (!old) return parts.append(twin);
  const focused = old.contains(document.activeElement) ? addressOf(document.activeElement) : null;
  old.replaceWith(twin);
  if (focused) [...twin.querySelectorAll("a, button")].find((one) => addressOf(one) === focused)?.focus();
}

function addressOf(element) {
  return element.getAttribute("formaction") ?? `${element.getAttribute("href")} ${element.dataset.scope ?? ""}`;
}
