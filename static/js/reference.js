// Starts the API reference (Swagger UI): every route with a form to try it on this server.

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
  // The browser sends its session cookie, as for any page here; tokens are not stored.
  persistAuthorization: false,
  tryItOutEnabled: false,
  // The description is not sent to another server for validation.
  validatorUrl: null,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
