// Polls for new anomalies; shows their number in a button instead of changing the list.

const ASK_EVERY_MS = 15000;

const pill = document.querySelector("[data-newer]");

async function lookForNewer() {
  if (document.hidden) {
    return;
  }
  const reply = await fetch(pill.dataset.newer).catch(() => null);
  if (!reply?.ok || reply.redirected) {
    return;
  }
  const { count } = await reply.json();
  pill.hidden = count === 0;
  pill.querySelector("[data-label]").textContent =
    count === 1 ? "1 new anomaly" : `${count} new anomalies`;
}

if (pill) {
  setInterval(lookForNewer, ASK_EVERY_MS);
}
