// Starts the reference: every address of the API with a form to try it from, on this very server.

import { currentTheme } from "./page.js";

const root = document.documentElement;
const place = document.getElementById("reference");

function followTheme() {
  root.classList.toggle("dark-mode", currentTheme() === "dark");
}

followTheme();
document.addEventListener("themechange", followTheme);

window.SwaggerUIBundle({
  url: place.dataset.description,
  domNode: place,
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  // The browser sends its own cookie along, as for any page of ours; tokens are not remembered.
  persistAuthorization: false,
  tryItOutEnabled: false,
  // No other server is asked whether the description is right.
  validatorUrl: null,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
