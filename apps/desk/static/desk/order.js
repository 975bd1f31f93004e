// One order's page: its dialogs, copy button, and word when the order has changed.

import { setUpDialogs } from "./dialogs.js";
import { watchPrice } from "./prices.js";
import { LiveSocket } from "./socket.js";

const page = document.getElementById("desk-order");
const changed = document.getElementById("desk-changed");
const account = page.dataset.account;
const price = document.getElementById("desk-last-price");
const seen = { [account]: Number(page.dataset.seq) };

if (price.dataset.watch) {
  const wanted = { address: price.dataset.watch, instrument: price.dataset.instrument };
  watchPrice(price, () => wanted, "");
}
setUpDialogs(page, () => location.reload());
page.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
});

new LiveSocket(page.dataset.socket, {
  hello: () => ({ type: "hello", seen, filters: { account, text: page.dataset.correlation } }),
  message: (message) => {
    const rows = message.type === "row" ? [message] : (message.rows ?? []);
    const mine = rows.find((row) => row.id === page.dataset.unit);
    if (mine && mine.seq > Number(page.dataset.seq)) changed.hidden = false;
  },
  state: () => {},
  forbidden: () => location.reload(),
});
