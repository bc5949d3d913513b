-- The requests of the suite `http`, sent by wrk: a client that is a process of its own.
--
--   cargo run --release -p idem-bench -- http --serve
--   wrk -t1 -c1 -d10s -s tools/bench/wrk.lua http://127.0.0.1:PORT -- fresh
--
-- `fresh` gives every request a key of its own; `held` asks for the same thousand again and again.

local threads = 0
local sent = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  mode = args[1] or "fresh"
  if mode ~= "fresh" and mode ~= "held" then
    error("say `fresh` or `held` after `--`")
  end
  started = os.time()
end

local function key()
  if mode == "held" then
    return string.format('"8e03978e-40d5-43dd-held-%012x"', sent % 1000)
  end
  return string.format('"8e03978e-%08x-%04x-%012x"', started, number, sent)
end

function request()
  sent = sent + 1
  local headers = {
    ["content-type"] = "application/json",
    ["authorization"] = "merchant-7",
    ["idempotency-key"] = key(),
  }
  local payment = '{"amount":500,"currency":"usd","description":"two tickets, row 7"}'
  return wrk.format("POST", "/v1/payments", headers, payment)
end
