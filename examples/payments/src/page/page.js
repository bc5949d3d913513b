// The page's controls. What is sent lives in intent.js, what is shown in timeline.js, what is said
// in words.js.

import { Intent, chargesMade } from "./intent.js";
import { Timeline, paintKey } from "./timeline.js";
import * as words from "./words.js";

const PRICE = 500;
const OTHER_PRICE = 700;
const RACERS = 5;
// Long enough to read that an answer was lost before the retry tells the rest.
const READING_TIME = 1400;

const find = (id) => document.getElementById(id);
const timeline = new Timeline(find("timeline"));
let intent = new Intent();
let requests = 0;
let keys = 0;

/** Sends one request for the current order and shows how it went. */
async function attempt(options = {}) {
  const amount = options.amount ?? PRICE;
  const row = timeline.add(intent.key, amount);
  if (intent.sent === 0) count("keys", ++keys);
  count("requests", ++requests);
  const answer = await intent.send(amount, options.lose ?? false);
  row.settle(answer);
  await refreshCharges();
  return answer;
}

async function pay() {
  const order = intent;
  const nth = ++order.clicks;
  const answer = await attempt({ lose: find("lose").checked });
  if (answer.kind === "in-flight") order.turnedAway += 1;
  say(order, words.afterClick(nth, answer, PRICE, order));
  if (answer.kind === "lost") await retryAfterLoss(order);
}

/** What a careful client does when it never learned the outcome: ask again, same key, same body. */
async function retryAfterLoss(order) {
  await new Promise((resume) => setTimeout(resume, READING_TIME));
  if (order !== intent) return;
  const answer = await attempt();
  say(order, words.afterRetry(answer, PRICE));
}

async function race() {
  const order = intent;
  const answers = await Promise.all(Array.from({ length: RACERS }, () => attempt()));
  say(order, words.afterRace(answers));
}

async function changeAmount() {
  const order = intent;
  if (!order.settled) return say(order, words.PAY_FIRST);
  const answer = await attempt({ amount: OTHER_PRICE });
  say(order, words.afterChange(answer, PRICE, OTHER_PRICE));
}

function newOrder() {
  intent = new Intent();
  showKey();
  say(intent, words.NEW_ORDER);
}

/** An order that was left behind has nothing more to say. */
function say(order, { tone, text }) {
  if (order !== intent) return;
  find("saying").dataset.tone = tone;
  find("words").textContent = text;
}

async function refreshCharges() {
  const charges = await chargesMade();
  if (charges !== undefined) count("charges", charges);
}

function count(id, value) {
  const place = find(id);
  if (place.textContent === String(value)) return;
  place.textContent = value;
  place.classList.remove("bump");
  void place.offsetWidth; // starts the animation over
  place.classList.add("bump");
}

function showKey() {
  paintKey(find("key"), intent.key);
}

find("amount").textContent = words.money(PRICE);
find("pay").firstElementChild.textContent = `Pay ${words.money(PRICE)}`;
find("origin").textContent = location.origin;
showKey();
find("pay").addEventListener("click", pay);
find("race").addEventListener("click", race);
find("change").addEventListener("click", changeAmount);
find("fresh").addEventListener("click", newOrder);
