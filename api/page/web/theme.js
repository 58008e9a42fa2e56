// Bright or dark: as the system has it, unless somebody says otherwise.
import { reactive } from "vue";

const KEY = "nanoraster-theme";
const ORDER = ["auto", "light", "dark"];

export const theme = reactive({ name: localStorage.getItem(KEY) ?? "auto" });

function show() {
  if (theme.name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.name;
}

export function turnTheme() {
  theme.name = ORDER[(ORDER.indexOf(theme.name) + 1) % ORDER.length];
  localStorage.setItem(KEY, theme.name);
  show();
}

show();
