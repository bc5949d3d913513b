// One intent, one key: the client's half of the bargain.

// Every visit is a merchant of its own, so that two visitors do not see each other's charges.
const MERCHANT = `page-${randomHex(4)}`;
const AUTHORIZATION = { Authorization: `Bearer ${MERCHANT}` };
// The bank takes a moment, so that requests sent at once really do meet.
const BANK_DELAY_MS = 120;

/** What somebody wants, once. The key is drawn here and nowhere else. */
export class Intent {
  key = randomUuid();
  clicks = 0;
  /** How many clicks found another one still at work. */
  turnedAway = 0;
  sent = 0;
  /** Whether an answer to this key is stored by now. */
  settled = false;

  /**
   * Sends the payment. With `lose`, the answer is thrown away once the server has begun to send
   * it: the request certainly arrived, and this side does not know what became of it.
   */
  async send(amount, lose) {
    this.sent += 1;
    const line = new AbortController();
    try {
      const response = await fetch("/v1/payments", this.#request(amount, line.signal));
      if (response.ok) this.settled = true;
      if (lose) {
        line.abort();
        return { kind: "lost" };
      }
      return await read(response);
    } catch {
      return { kind: "unreachable" };
    }
  }

  #request(amount, signal) {
    return {
      method: "POST",
      signal,
      headers: {
        ...AUTHORIZATION,
        "Content-Type": "application/json",
        "Idempotency-Key": `"${this.key}"`,
      },
      body: JSON.stringify({ amount, currency: "usd", sandbox: { delay_ms: BANK_DELAY_MS } }),
    };
  }
}

/** The number of charges the server made for this page, or undefined when it cannot be asked. */
export async function chargesMade() {
  try {
    const response = await fetch("/v1/payments", { headers: AUTHORIZATION, cache: "no-store" });
    return response.ok ? (await response.json()).charges_executed : undefined;
  } catch {
    return undefined;
  }
}

async function read(response) {
  const replayed = response.headers.get("Idempotent-Replayed") === "true";
  const body = await response.json().catch(() => ({}));
  const kind = response.ok ? (replayed ? "replayed" : "charged") : (body.code ?? "refused");
  return { kind, status: response.status, body };
}

// `crypto.randomUUID` is for secure contexts only; a phone in the same network is in none.
function randomUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function randomHex(bytes) {
  return hex(crypto.getRandomValues(new Uint8Array(bytes)));
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
