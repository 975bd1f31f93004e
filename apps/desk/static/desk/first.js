// The field that a page was opened for has the focus; browsers do not always give it by themselves.

document.querySelector("[autofocus]")?.focus();
