--- The shard as a process: start, refusal to start, restart, end, and a log that cannot be written.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local digest = require('digest')
local fiber = require('fiber')
local msgpack = require('msgpack')
local socket = require('socket')
local support = require('support')
local outcome = {OK = 0, EXPIRED = 1, REFUSED = 7}

local suite = support.suite('process')

local ONE = msgpack.encode('one')

local function fresh_directory()
    return fio.pathjoin(fio.cwd(), ('shard%d'):format(math.random(1e9)))
end

local function environment(changes)
    local own = {TARANTKV_SHARD_DIR = fresh_directory()}
    for name, value in pairs(changes or {}) do
        own[name] = value
    end
    return support.environment(own)
end

local function apply(connection, ...)
    local answers = connection:call('tarantkv.apply', {{...}})
    return answers[1][1], answers[1][2]
end

--- Restart a shard with changed settings, and expect that it refuses to start.
local function refusal(base, changes)
    local changed = {}
    for name, value in pairs(base) do
        changed[name] = value
    end
    for name, value in pairs(changes) do
        changed[name] = value or nil
    end
    return support.spawn(changed):finish()
end

--- The shard's own lines on stderr.
local function own_lines(errors)
    local lines = {}
    for line in errors:gmatch('tarantkv shard: [^\n]*') do
        table.insert(lines, line)
    end
    return lines
end

suite:case('a wrong setting ends the shard with one line and exit code 78', function(test)
    local base = environment()
    for name, value in pairs({
        TARANTKV_SHARD = 'nobody', TARANTKV_WAL_MODE = 'none', TARANTKV_STORE_PASSWORD = false,
        TARANTKV_SHARD_DIR = '/proc/cannot/be/made',
    }) do
        local code, errors = refusal(base, {[name] = value})
        test:is(code, 78, name .. ' ends it')
        test:is(#own_lines(errors), 1, 'with one line')
        test:ok(errors:find(name, 1, true), 'that names it')
    end
    test:ok(not fio.path.exists(base.TARANTKV_SHARD_DIR), 'and nothing was made')
end)

suite:case("another shard's data is refused with one line and exit code 78", function(test)
    local base = environment({TARANTKV_SHARDS = 's1=h:1;s2=h:2', TARANTKV_SHARD = 's1'})
    local shard = support.spawn(base)
    shard:connect():close()
    test:is(shard:stop(), 0, 'made and ended')
    for name, case in pairs({
        ['another shard'] = {{TARANTKV_SHARD = 's2'}, '"s1"', '"s2"'},
        ['another number of buckets'] = {{TARANTKV_BUCKET_COUNT = '1000'}, '30000', '1000'},
        ['another shard list'] = {{TARANTKV_SHARDS = 's1=h:1;s2=h:2;s3=h:3'}, '15000', '10000'},
        ['another place in the list'] = {{TARANTKV_SHARDS = 's2=h:2;s1=h:1'}, '[[1,15000]]', '[[15001,30000]]'},
    }) do
        local code, errors = refusal(base, case[1])
        local lines = own_lines(errors)
        test:is(code, 78, name)
        test:is(#lines, 1, 'one line')
        test:ok(lines[1] and lines[1]:find(case[2], 1, true) and lines[1]:find(case[3], 1, true),
            'that says what is stored and what is set')
    end
    shard = support.spawn(base)
    test:is(shard:connect():call('tarantkv.describe').shard, 's1', 'with its own settings it starts again')
    shard:kill()
    base.TARANTKV_SHARDS = 's1=other:5,more:6;s2=h:2'
    shard = support.spawn(base)
    test:is(shard:connect():call('tarantkv.describe').shard, 's1', 'other addresses are no other list')
    test:is(shard:stop(), 0, 'and it ends cleanly')
end)

suite:case('a port in use ends the shard with one line and an error', function(test)
    local base = environment()
    local host, port = base.TARANTKV_SHARD_LISTEN:match('(.*):(.*)')
    local server = socket.tcp_server(host, tonumber(port), function() end)
    local code, errors = support.spawn(base):finish()
    server:close()
    test:is(code, 1, 'exit code')
    test:is(#own_lines(errors), 1, 'one line')
end)

suite:case('a shard that was killed knows after its restart what it applied', function(test)
    local base = environment()
    local shard = support.spawn(base)
    local connection = shard:connect()
    local write = support.chunk(support.WRITE, support.write_body({{'key', ONE}}), {deadline = 0})
    write[3] = require('tarantkv.clock').now_ms() + 60000
    test:is(apply(connection, write), outcome.OK, 'written')
    local remove = support.chunk(support.DELETE, support.keys_body({'key', 'other'}))
    local _, deleted = apply(connection, remove)
    test:is(deleted, 1, 'deleted')
    shard:kill()

    shard = support.spawn(base)
    connection = shard:connect()
    test:is(apply(connection, write), outcome.OK, 'the write is found')
    _, deleted = apply(connection, remove)
    test:is(deleted, 1, 'the delete answers the same')
    local _, blob = apply(connection, support.chunk(support.READ, support.keys_body({'key'})))
    test:is(support.values(blob)[1], false, 'neither was applied again')
    test:is(shard:stop(), 0, 'SIGTERM ends it cleanly')
end)

suite:case('values that look dangerous can be read after a restart', function(test)
    local base = environment()
    local shard = support.spawn(base)
    local connection = shard:connect()
    local values = {
        ('\x91'):rep(256) .. '\xc0', '\xd6\xff\x00\x00\x00\x01', '\xd4\x2a\x01', '\xc7\x00\x7f', '\xd5\x01\x02\x1c',
        '\xdd\x00\x00\x00\x00', '\xa3\xff\xfe\x80', '\x92\xd4\x09\x00\xd4\x80\x00',
    }
    local pairs_, keys = {}, {}
    for i, value in ipairs(values) do
        pairs_[i], keys[i] = {'v' .. i, value}, 'v' .. i
    end
    test:is(apply(connection, support.chunk(support.WRITE, support.write_body(pairs_))), outcome.OK, 'written')
    -- These are refused, because the next start would refuse to read them from the log.
    for _, damaged in ipairs({'\xd4\x01\xff', '\xd4\x02\xff', '\xd4\x04\xff', '\xd4\x06\xff', '\xd4\x07\xff'}) do
        local status = apply(connection, support.chunk(support.WRITE, support.write_body({{'bad', damaged}})))
        test:isnt(status, outcome.OK, 'damaged')
    end
    shard:kill()
    shard = support.spawn(base)
    connection = shard:connect()
    test:ok(connection, 'it starts over them')
    local _, blob = apply(connection, support.chunk(support.READ, support.keys_body(keys)))
    test:is_deeply(support.values(blob), values, 'and reads them')
    shard:kill()
end)

suite:case('SIGTERM under load ends cleanly and loses nothing that was acknowledged', function(test)
    local base = environment()
    local shard = support.spawn(base)
    local connection = shard:connect()
    local acknowledged, running = {}, true
    local writers = {}
    for w = 1, 8 do
        writers[w] = fiber.new(function()
            local i = 0
            while running do
                i = i + 1
                local key = ('w%d.%d'):format(w, i)
                local ok, status = pcall(apply, connection,
                    support.chunk(support.WRITE, support.write_body({{key, ONE}})))
                if not ok then
                    break
                elseif status == outcome.OK then
                    table.insert(acknowledged, key)
                end
            end
        end)
        writers[w]:set_joinable(true)
    end
    test:ok(support.wait_for(function() return #acknowledged > 500 end), 'under load')
    test:is(shard:stop(), 0, 'exit code 0')
    running = false
    for _, writer in ipairs(writers) do
        writer:join()
    end
    shard = support.spawn(base)
    connection = shard:connect()
    local lost = 0
    for _, key in ipairs(acknowledged) do
        local _, blob = apply(connection, support.chunk(support.READ, support.keys_body({key})))
        lost = lost + (support.values(blob)[1] == ONE and 0 or 1)
    end
    test:is(lost, 0, ('all %d are there'):format(#acknowledged))
    shard:stop()
end)

suite:case('if the log cannot be written, changes are refused and reads return the stored data', function(test)
    local base = environment()
    -- A limit on file sizes replaces a full disk: after 300 KiB of log, every write fails.
    local shard = support.spawn(base, "trap '' XFSZ; ulimit -f 600")
    local connection = shard:connect()
    -- Random bytes, because the log is compressed.
    local value = '\xc5\x23\x28' .. digest.urandom(9000)
    local statuses, stored, refused = {}, {}, {}
    local jobs = {}
    for job = 1, 8 do
        jobs[job] = fiber.new(function()
            for i = 1, 30 do
                local key = ('k%d.%d'):format(job, i)
                local status = apply(connection, support.chunk(support.WRITE, support.write_body({{key, value}})))
                statuses[status] = (statuses[status] or 0) + 1
                table.insert(status == outcome.OK and stored or refused, key)
                local _, blob = apply(connection, support.chunk(support.READ, support.keys_body({key})))
                local is_there = support.values(blob)[1] ~= false
                if is_there ~= (status == outcome.OK) then
                    statuses.lies = (statuses.lies or 0) + 1
                end
            end
        end)
        jobs[job]:set_joinable(true)
    end
    for _, job in ipairs(jobs) do
        job:join()
    end
    test:ok((statuses[outcome.OK] or 0) > 5, 'some are stored')
    test:ok((statuses[outcome.REFUSED] or 0) > 5, 'some are refused')
    test:is(statuses.lies, nil, 'a read after the outcome agrees with it')
    shard:kill()

    shard = support.spawn(base)
    connection = shard:connect()
    test:ok(connection, 'it starts again')
    local wrong = 0
    for list, expected in pairs({[stored] = true, [refused] = false}) do
        for _, key in ipairs(list) do
            local _, blob = apply(connection, support.chunk(support.READ, support.keys_body({key})))
            wrong = wrong + ((support.values(blob)[1] ~= false) == expected and 0 or 1)
        end
    end
    test:is(wrong, 0, 'and holds exactly what was acknowledged')
    shard:kill()
end)

suite:run()
