// A page of lights asks again every few seconds, and says so when nobody answers.

import { askAgain, clock } from "./again.js";

const holder = document.getElementById("desk-watch");

// What somebody has unfolded stays so. Where a link stands, so that a keyboard finds it again.
const place = (link) =>
  [link.closest("section")?.id, link.closest("tr")?.dataset.check, link.getAttribute("href")].join(" ");

askAgain(holder.dataset.again, {
  take: (html) => {
    const focused = holder.contains(document.activeElement) ? place(document.activeElement) : null;
    const unfolded = [...holder.querySelectorAll("details[open][id]")].map((part) => part.id);
    holder.innerHTML = html;
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    if (focused) [...holder.querySelectorAll("a")].find((link) => place(link) === focused)?.focus();
    holder.classList.remove("desk-stale");
  },
  silent: (heard) => {
    holder.classList.add("desk-stale");
    const sum = holder.querySelector(".desk-health-sum");
    sum.className = "desk-health-sum desk-tone-alarm";
    sum.firstChild.textContent = `The web process does not answer since ${clock(heard)}; what follows is old`;
  },
});
