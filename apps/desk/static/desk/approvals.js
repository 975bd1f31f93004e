// How long each request still waits, counted down in place.

function tick() {
  for (const time of document.querySelectorAll("time[data-until]")) {
    const left = Math.round((Date.parse(time.dataset.until) - Date.now()) / 1000);
    time.textContent = left > 0 ? `in ${Math.floor(left / 60)} min ${left % 60} s` : "expired";
  }
}

setInterval(tick, 1000);
tick();
