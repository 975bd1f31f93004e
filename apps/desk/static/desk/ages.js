// How long ago: every time.desk-age below an element, in words.

export function tickAges(where) {
  const now = Date.now();
  for (const age of where.querySelectorAll("time.desk-age")) {
    age.textContent = lasting((now - Date.parse(age.dateTime)) / 1000);
  }
}

function lasting(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
