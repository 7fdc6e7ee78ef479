-- Sends precomputed requests, one after the other, and reports what wrk measured as one line of JSON.
-- Prints `bench ready` when the load begins.
-- Arguments: the path to ask, a file with one request a line (see `loadtest/bench/bodies.py`), the position to begin
-- at, and optionally the requests per second to offer (as fast as the answers come, if not given). BENCH_TOKEN: the
-- token to send.

local ffi = require('ffi')

local PERCENTILES = {50, 90, 99, 99.9}

ffi.cdef([[
    struct bench_timespec { long sec; long nsec; };
    int clock_gettime(int clock, struct bench_timespec *result);
]])
local CLOCK_MONOTONIC = 1
local clock = ffi.new('struct bench_timespec')

local function now_ms()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, clock)
    return tonumber(clock.sec) * 1000 + tonumber(clock.nsec) / 1e6
end

local threads = {}
local requests, position = {}, 0
-- Read by `done`, from another Lua state. Begins at -1 as wrk asks for one request more than it sends, to look at it.
sent = -1
local interval, slot

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    local headers = {['Content-Type'] = 'application/json', ['Authorization'] = os.getenv('BENCH_TOKEN')}
    local make = function(line) return wrk.format('POST', args[1], headers, line) end
    if args[1] == '/api/import' then
        headers['Content-Type'] = 'application/x-ndjson'
        make = function(line) return wrk.format('POST', args[1], headers, (line:gsub('\30', '\n'))) end
    elseif args[1] == '/api/export' then
        make = function(line) return wrk.format('GET', args[1] .. '?' .. line, headers) end
    end
    for line in io.lines(args[2]) do
        requests[#requests + 1] = make(line)
    end
    position = tonumber(args[3]) % #requests
    if args[4] then
        interval = 1000 / tonumber(args[4])
        -- Defined only where a rate is given: wrk sets a timer for every request if this function exists.
        function delay()
            local now = now_ms()
            slot = math.max((slot or now) + interval, now)
            return math.floor(slot - now)
        end
    end
    -- Read by `done` as well. The generator's CPU time for reading the file does not count.
    cpu_at_start = os.clock()
    io.write('bench ready\n')
    io.flush()
end

function request()
    sent = sent + 1
    position = position % #requests + 1
    return requests[position]
end

function done(summary, latency)
    local fields = {
        ('"requests": %d'):format(summary.requests),
        ('"sent": %d'):format(threads[1]:get('sent')),
        ('"bytes": %d'):format(summary.bytes),
        ('"seconds": %.6f'):format(summary.duration / 1e6),
        ('"generator_cpu_s": %.6f'):format(os.clock() - threads[1]:get('cpu_at_start')),
        ('"max_us": %d'):format(latency.max),
    }
    local percentiles = {}
    for _, p in ipairs(PERCENTILES) do
        table.insert(percentiles, ('"%g": %d'):format(p, latency:percentile(p)))
    end
    table.insert(fields, ('"latency_us": {%s}'):format(table.concat(percentiles, ', ')))
    local errors = {}
    for _, kind in ipairs({'connect', 'read', 'write', 'status', 'timeout'}) do
        table.insert(errors, ('"%s": %d'):format(kind, summary.errors[kind]))
    end
    table.insert(fields, ('"errors": {%s}'):format(table.concat(errors, ', ')))
    io.write('bench {', table.concat(fields, ', '), '}\n')
end
