-- Signed pushes for wrk, each with a delivery id of its own, so that none is a redelivery.
-- BENCH_BODY names the file of the body, BENCH_SIGNATURE is its signature, BENCH_PATH the path,
-- BENCH_RUN tells one run from another.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
local body = file:read("*a")
file:close()
local path = os.getenv("BENCH_PATH")
local run = os.getenv("BENCH_RUN")
local threads = 0
local sent = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local headers = {
  ["Content-Type"] = "application/json",
  ["X-GitHub-Event"] = "push",
  ["X-Hub-Signature-256"] = os.getenv("BENCH_SIGNATURE"),
}

function request()
  sent = sent + 1
  headers["X-GitHub-Delivery"] = run .. "-" .. number .. "-" .. sent
  return wrk.format("POST", path, headers, body)
end
