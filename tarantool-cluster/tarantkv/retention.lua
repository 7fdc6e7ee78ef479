--- When records end. Every record that ends is listed here, and this is the one place that adds the clock skew.
--
-- What ends something must outlast what it ends, on all clocks involved. No clock is off by more than the skew, but
-- each may be set back or ahead by so much at any time. The times below are on this shard's own clock:
--
--     record                  protects against                         until
--     chunk, no claim         a second copy of the chunk, which is     deadline + skew: a clock that removed the record
--                             refused from its deadline on             may be set back, but not behind the deadline
--     chunk under a claim     a copy sent by any retry that was        application + retain + 4 skews: see `of_chunk`
--                             given the claim
--     claim                   a second claim of the same key           claiming + window + skew: the window is the
--                                                                      promised one and a request's timeout, so that a
--                                                                      retry given the claim at the end still has it
--     revocation              its token, which an api accepts until    expiry + leeway + skew
--                             the expiry + its leeway, on its clock
--     a user's `not_before`   tokens issued before it                  never ends
--
-- @module tarantkv.retention

local max, min = math.max, math.min

local M = {}

--- How long past its expiry an api still accepts a token: `LEEWAY_S` of `api/auth/tokens.py`.
local TOKEN_LEEWAY_MS = 5 * 1000

--- Longest window of a claim and longest retention of a chunk that are taken seriously, before the skews are added.
-- Settings allow a window and a request timeout of a day each; a retention is a window and two timeouts.
local MAX_WINDOW_MS = 2 * 24 * 60 * 60 * 1000
local MAX_RETAIN_MS = 3 * 24 * 60 * 60 * 1000

local skew_ms = 0

--- Take the clock skew.
-- @tparam number ms how far the clocks of shards, workers and apis may differ
function M.configure(ms)
    skew_ms = ms
end

--- How far clocks may differ, in milliseconds.
function M.skew()
    return skew_ms
end

--- Until when the record of a chunk that is applied now must last.
-- A retry may be given the claim until `window + skew` after the claiming, on the clock of the claim's shard, which may
-- be set back by a skew meanwhile. The retry's chunks are taken until a request timeout later, on the api's clock,
-- which may be a skew ahead of this one. And this one may remove the record while it is a skew ahead, and be set back.
-- `retain` is the claim's window and another request timeout; it is 0 where there is no claim.
-- @tparam number now milliseconds since the epoch, like all times here
-- @tparam number deadline
-- @tparam number retain milliseconds
function M.of_chunk(now, deadline, retain)
    if retain == 0 then
        return deadline + skew_ms
    end
    return max(deadline + skew_ms, now + min(retain, MAX_RETAIN_MS) + 4 * skew_ms)
end

--- Until when a claim that is made now stands.
-- @tparam number now
-- @tparam number window milliseconds
function M.of_claim(now, window)
    return now + min(window, MAX_WINDOW_MS) + skew_ms
end

--- The expiry of the tokens whose revocations end now. Revocations are stored with the expiry of their token.
-- @tparam number now
function M.revocations_over(now)
    return now - TOKEN_LEEWAY_MS - skew_ms
end

return M
