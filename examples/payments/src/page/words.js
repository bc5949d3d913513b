// One sentence on what just happened, for people. A tone colours it: calm, good or careful.

const calm = (text) => ({ tone: "calm", text });
const good = (text) => ({ tone: "good", text });
const careful = (text) => ({ tone: "careful", text });

const ORDINALS = ["", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"];
const nth = (n) => ORDINALS[n] ?? `${n}th`;

export function money(minorUnits) {
  return new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" }).format(minorUnits / 100);
}

export const NEW_ORDER = calm("A new order draws a new key. The next click is a new payment, and may charge you.");
export const PAY_FIRST = calm("Pay first. Then change the amount, and see what the server says to an old key on a new request.");

export function afterClick(n, answer, price, order) {
  switch (answer.kind) {
    case "charged":
      if (order.clicks > 1) return good(afterMany(order));
      return good(`Paid: you were charged ${money(price)}. Now press Pay again.`);
    case "replayed":
      return good(`The ${nth(n)} click carried the same key, so you were charged once.`);
    case "in-flight":
      return good(`The ${nth(n)} click found the first still at work. It carried the same key, so it was turned away: you are charged once.`);
    case "lost":
      return careful("The answer was lost on the way back. Were you charged? This page can’t know, so it asks again with the same key …");
    default:
      return trouble(answer);
  }
}

/** The first answer came after more clicks. */
function afterMany({ clicks, turnedAway }) {
  const all = clicks === 2 ? "Both clicks" : `All ${clicks} clicks`;
  const others = turnedAway === 1 ? "One found the other still at work." : `${turnedAway} found another still at work.`;
  return `${all} carried the same key, so you were charged once.${turnedAway ? ` ${others}` : ""}`;
}

export function afterRetry(answer, price) {
  switch (answer.kind) {
    case "replayed":
      return good("The retry carried the same key, so the server sent the stored answer again: you were charged once.");
    case "charged":
      return good(`The first request never got through, so the retry did the work: you were charged ${money(price)} once.`);
    default:
      return trouble(answer);
  }
}

export function afterRace(answers) {
  const many = (kind) => answers.filter((answer) => answer.kind === kind).length;
  const [charged, replayed, busy] = ["charged", "replayed", "in-flight"].map(many);
  if (charged + replayed + busy < answers.length) {
    return trouble(answers.find(({ kind }) => !["charged", "replayed", "in-flight"].includes(kind)));
  }
  const rest = [replayed && `${replayed} got the stored answer`, busy && `${busy} found it still at work`];
  const others = rest.filter(Boolean).join(" and ");
  return charged === 1
    ? good(`${answers.length} requests raced with one key: one was charged, ${others}.`)
    : good(`${answers.length} requests raced with a key that was paid already: ${others}. Nothing was charged again.`);
}

export function afterChange(answer, price, other) {
  return answer.kind === "fingerprint-mismatch"
    ? careful(`This key already stands for ${money(price)}, and now it came with ${money(other)}. The server won’t guess: it refused (${answer.status}) and charged nothing, and the first payment stands.`)
    : trouble(answer);
}

function trouble(answer) {
  switch (answer.kind) {
    case "unreachable":
      return careful("No answer from the server, so the outcome is unknown. It is safe to press Pay again: the key is the same.");
    case "in-flight":
      return calm("The first request is still at work. Press Pay again in a moment: the key is the same, so it is safe.");
    case "store-unavailable":
      return careful("The server can’t reach its record of keys. It charged nothing rather than risk charging twice; try again.");
    case "outcome-unknown":
      return careful("An earlier request with this key vanished half-way. The server won’t run it again until somebody has looked.");
    default:
      return careful(answer.body?.detail ?? `The server answered ${answer.status}.`);
  }
}
