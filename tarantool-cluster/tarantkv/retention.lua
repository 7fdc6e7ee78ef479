--- How long records are kept. All records that end are listed here, and only this module adds the clock skew.
--
-- A record must outlast, on all clocks involved, what it protects against. No clock is off by more than the skew, but
-- each may be set back or ahead by that much at any time. The times below are on this shard's own clock:
--
--     record                  protects against                         until
--     chunk, no claim         a second copy of the chunk, which is     deadline + skew: the clock may be set back after
--                             refused from its deadline on             the record is gone, but not before the deadline
--     chunk under a claim     a copy sent by any retry that was        application + retain + 4 skews: see `of_chunk`
--                             given the claim
--     claim                   a second claim of the same key           claiming + window + skew: the window is the
--                                                                      promised one plus a request's timeout, so that a
--                                                                      retry that gets the claim at its end can finish
--     revocation              its token, which an api accepts until    expiry + leeway + skew
--                             the expiry + its leeway, on its clock
--     a user's `not_before`   tokens issued before it                  no end
--
-- @module tarantkv.retention

local max, min = math.max, math.min

local M = {}

--- How long past its expiry an api still accepts a token: `LEEWAY_S` of `api/auth/tokens.py`.
local TOKEN_LEEWAY_MS = 5 * 1000

--- Longest window of a claim and longest retention of a chunk, before the skews are added; longer ones are shortened.
-- The settings allow a window and a request timeout of a day each; a retention is a window and two timeouts.
local MAX_WINDOW_MS = 2 * 24 * 60 * 60 * 1000
local MAX_RETAIN_MS = 3 * 24 * 60 * 60 * 1000

local skew_ms = 0

--- Set the clock skew.
-- @tparam number ms how far the clocks of shards, workers and apis may differ
function M.configure(ms)
    skew_ms = ms
end

--- How far clocks may differ, in milliseconds.
function M.skew()
    return skew_ms
end

--- The time until which the record of a chunk must be kept that is applied now.
-- A retry may get the claim until `window + skew` after the claiming, on the clock of the claim's shard, which may be
-- set back by a skew in between. The retry's chunks are accepted until a request timeout later, on the api's clock,
-- which may be a skew ahead of this one. And this clock may be a skew ahead when it removes the record, and be set back
-- then. `retain` is the claim's window plus a request timeout, and 0 if there is no claim.
-- @tparam number now milliseconds since the epoch, like all times here
-- @tparam number deadline
-- @tparam number retain milliseconds
function M.of_chunk(now, deadline, retain)
    if retain == 0 then
        return deadline + skew_ms
    end
    return max(deadline + skew_ms, now + min(retain, MAX_RETAIN_MS) + 4 * skew_ms)
end

--- The time until which a claim is kept that is made now.
-- @tparam number now
-- @tparam number window milliseconds
function M.of_claim(now, window)
    return now + min(window, MAX_WINDOW_MS) + skew_ms
end

--- The expiry of tokens whose revocations end now. A revocation is stored with the expiry of its token.
-- @tparam number now
function M.revocations_over(now)
    return now - TOKEN_LEEWAY_MS - skew_ms
end

return M
