// Light or dark on pages without the admin's frame: the person's own choice, else the system's.
(() => {
  const chosen = (localStorage.getItem("adminTheme") ?? "").replaceAll('"', "");
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
})();
