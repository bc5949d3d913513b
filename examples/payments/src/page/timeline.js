// Each request as a row: out to the server, and what came back.

import { money } from "./words.js";

// By what came back: the mark on the way back, what the server did, and the row's look.
const OUTCOMES = {
  charged: ["first answer", "charged", "charged"],
  replayed: ["replayed", "no new charge", "replayed"],
  lost: ["answer lost", "it got there", "lost"],
  unreachable: ["no answer", "unknown", "lost"],
  "in-flight": ["still at work", "turned away", "refused"],
  "fingerprint-mismatch": ["other request", "refused", "refused"],
};
const REFUSED = ["refused", "not charged", "refused"];

export class Timeline {
  #list;
  #count = 0;

  constructor(list) {
    this.#list = list;
  }

  /** Adds a request that is under way. */
  add(key, amount) {
    this.#list.querySelector(".empty")?.remove();
    const row = new Row(++this.#count, key, amount);
    this.#list.append(row.element);
    this.#list.scrollTop = this.#list.scrollHeight;
    return row;
  }
}

class Row {
  element = document.createElement("li");

  constructor(number, key, amount) {
    this.element.dataset.outcome = "pending";
    this.element.append(
      part("span", "number", `#${number}`),
      paintKey(part("code", "key", ""), key),
      wire(part("span", "sent", `POST ${money(amount)}`), part("span", "came-back", "…")),
      part("strong", "outcome", "on its way"),
    );
  }

  settle({ kind, status }) {
    const [mark, did, look] = OUTCOMES[kind] ?? REFUSED;
    this.element.dataset.outcome = look;
    this.element.dataset.kind = kind;
    const seen = status === undefined ? mark : `${status} ${mark}`;
    this.element.querySelector(".came-back").textContent = seen;
    this.element.querySelector(".outcome").textContent = did;
  }
}

/** Shows a key shortened, in a colour of its own: the same key is seen to be the same. */
export function paintKey(element, key) {
  element.textContent = `${key.slice(0, 4)}…${key.slice(-4)}`;
  element.style.setProperty("--hue", parseInt(key.slice(0, 4), 16) % 360);
  return element;
}

function wire(...ends) {
  const element = part("span", "wire", "");
  element.append(...ends);
  return element;
}

function part(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}
