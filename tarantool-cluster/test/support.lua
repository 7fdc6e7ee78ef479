--- A shard inside the test's process or in a separate one, and the bytes of chunks, for all tests.
-- No behaviour is tested here.

local digest = require('digest')
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local msgpack = require('msgpack')
local net_box = require('net.box')
local popen = require('popen')
local socket = require('socket')
local tap = require('tap')
local clock = require('tarantkv.clock')

local M = {}

M.WRITE, M.READ, M.DELETE, M.READ_TUPLES, M.UPDATE, M.DELETE_IF, M.INCREMENT, M.TOUCH = 1, 2, 3, 4, 5, 6, 7, 8
M.CLAIM, M.FINISH, M.USER_GET, M.USER_PUT, M.REVOKE, M.USER_LIST, M.DESCRIBE = 16, 17, 18, 19, 20, 21, 22
M.STATUS, M.JOIN = 23, 24

local BUCKETS = 30000

--- The settings of a shard that owns all buckets, with changes.
function M.settings(changes)
    local settings = {
        shard = 's1', position = 1, shards = 1, instances = 1, bucket_count = BUCKETS, listen = nil, console = '',
        store_user = 'tarantkv', store_password = 'secret', clock_skew_s = 30, count_applications = true,
        max_claims_per_user = 1000000,
    }
    for name, value in pairs(changes or {}) do
        settings[name] = value
    end
    return settings
end

--- Open the database in the working directory and bring the shard up in this process.
function M.start(changes, configuration)
    local options = {log_level = 2, memtx_memory = 64 * 1024 * 1024, memtx_max_tuple_size = 1024 * 1024}
    for name, value in pairs(configuration or {}) do
        options[name] = value
    end
    box.cfg(options)
    local problem = require('tarantkv.shard').start(M.settings(changes))
    -- The start gives fibers a longer slice; for this fiber it applies from its next turn on.
    fiber.yield()
    return problem
end

function M.bucket_of(key)
    return digest.crc32(key) % BUCKETS + 1
end

local counter = 0

--- A chunk id that this process has not used. It contains the clock, so it differs from ids of earlier processes.
function M.new_id()
    counter = counter + 1
    return ('%08x%08x'):format(counter, clock.now_ms() % 4294967296)
end

local function u32(number)
    return ffi.string(ffi.new('uint32_t[1]', number), 4)
end

M.u32 = u32

--- The MessagePack header of an array.
local function array_of(count)
    if count < 16 then
        return string.char(0x90 + count)
    end
    return string.char(0xdc, math.floor(count / 256), count % 256)
end

M.array_of = array_of

--- Body of a write of these entries.
function M.body(entries)
    return array_of(#entries) .. table.concat(entries)
end

--- Entry of a write: `value` is MessagePack already.
function M.write_entry(key, value, bucket, expiry)
    return (expiry == nil and '\x93' or '\x94') .. msgpack.encode(key) .. msgpack.encode(bucket or M.bucket_of(key)) ..
        value .. (expiry == nil and '' or msgpack.encode(expiry))
end

--- Body of a write of `{{key, value in MessagePack}, ...}`.
function M.write_body(pairs_)
    local entries = {}
    for i, pair in ipairs(pairs_) do
        entries[i] = M.write_entry(pair[1], pair[2], pair[3])
    end
    return M.body(entries)
end

--- Body of a read or delete of these keys, in their own buckets or in those given.
function M.keys_body(keys, buckets)
    local names, numbers = {}, {}
    for i, key in ipairs(keys) do
        names[i] = msgpack.encode(key)
        numbers[i] = msgpack.encode(buckets and buckets[i] or M.bucket_of(key))
    end
    return '\x92' .. array_of(#names) .. table.concat(names) .. array_of(#numbers) .. table.concat(numbers)
end

--- A chunk of the wire with a deadline in five seconds, unless `options` say otherwise.
function M.chunk(op, body, options)
    options = options or {}
    return {
        options.id or M.new_id(), op, options.deadline or clock.now_ms() + 5000, options.retain or 0,
        options.keys or 1, body,
    }
end

--- Run one chunk, through the procedure.
-- @treturn number status
-- @return payload
function M.run(op, body, options)
    local answer = _G.tarantkv.apply({M.chunk(op, body, options)})[1]
    return answer[1], answer[2]
end

function M.write(key, value, options)
    return M.run(M.WRITE, M.write_body({{key, value}}), options)
end

--- The values in the answer to a read; false for an absent key.
function M.values(blob)
    local words = ffi.cast('const uint32_t *', ffi.cast('const char *', blob))
    local count = words[0]
    local at = 4 + 4 * count
    local found = {}
    for i = 1, count do
        found[i] = words[i] > 0 and blob:sub(at + 1, at + words[i])
        at = at + words[i]
    end
    assert(at == #blob, 'the lengths of the answer do not add up')
    return found
end

--- The stored MessagePack of one key; false if the key is absent.
function M.read(key, bucket)
    local status, payload = M.run(M.READ, M.keys_body({key}, {bucket}))
    assert(status == 0, payload)
    return M.values(payload)[1]
end

--- Run a control operation on the bucket of `key`.
function M.control(op, args, options)
    local status, payload = M.run(op, msgpack.encode(args), options)
    if status == 0 and payload ~= nil then
        return status, msgpack.decode(payload)
    end
    return status, payload
end

--- Wait until a condition is true.
function M.wait_for(condition, timeout)
    local until_ = fiber.clock() + (timeout or 10)
    while not condition() do
        if fiber.clock() > until_ then
            return false
        end
        fiber.sleep(0.01)
    end
    return true
end

local here = fio.dirname(fio.abspath(debug.getinfo(1, 'S').source:sub(2)))
local entry_point = fio.abspath(fio.pathjoin(here, '..', 'init.lua'))
local tarantool = fio.readlink('/proc/self/exe')

--- A port of the loopback address on which no program listens now.
function M.free_port()
    local probe = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    probe:bind('127.0.0.1', 0)
    local port = probe:name().port
    probe:close()
    return port
end

--- The environment of a shard process that owns all buckets, with changes; `false` removes a variable.
function M.environment(changes)
    local port = M.free_port()
    local environment = os.environ()
    local own = {
        TARANTKV_SHARDS = 's1=127.0.0.1:' .. port, TARANTKV_SHARD = 's1', TARANTKV_SHARD_LISTEN = '127.0.0.1:' .. port,
        TARANTKV_SHARD_DIR = fio.abspath('shard'), TARANTKV_SHARD_MEMORY_MIB = '64', TARANTKV_STORE_USER = 'tarantkv',
        TARANTKV_STORE_PASSWORD = 'secret', TARANTKV_COUNT_APPLICATIONS = 'true', TARANTKV_LOG_LEVEL = 'warning',
    }
    for name in pairs(environment) do
        if name:match('^TARANTKV_') then
            environment[name] = nil
        end
    end
    for _, variables in ipairs({own, changes or {}}) do
        for name, value in pairs(variables) do
            environment[name] = value or nil
        end
    end
    return environment
end

local Process = {}
Process.__index = Process

--- Start a shard in a process of its own.
-- @tparam table environment of `M.environment`
-- @tparam[opt] string prelude shell commands that run before it, in its process
function M.spawn(environment, prelude)
    local process = popen.new({'/bin/sh', '-c', (prelude or '') .. '\nexec "$1" "$2"', 'sh', tarantool, entry_point}, {
        stdin = popen.opts.DEVNULL, stdout = popen.opts.DEVNULL, stderr = popen.opts.PIPE, env = environment,
    })
    local self = setmetatable({process = process, environment = environment, errors = ''}, Process)
    -- All output is read: otherwise a shard with much output would wait for a reader.
    fiber.new(function()
        local part
        repeat
            part = process:read({stderr = true})
            self.errors = self.errors .. (part or '')
        until part == nil or part == ''
        self.has_ended = true
    end)
    return self
end

--- A connection, as soon as the shard listens; nil and the reason if it does not.
function Process:connect(user, password)
    local connection
    M.wait_for(function()
        connection = net_box.connect(self.environment.TARANTKV_SHARD_LISTEN, {
            user = user or 'tarantkv', password = password or 'secret', wait_connected = true,
        })
        return self.has_ended or connection:is_connected() or not tostring(connection.error):find('refused')
    end)
    return connection:is_connected() and connection or nil, connection.error
end

--- Send a signal, if one is given, and wait for the end.
-- @treturn number exit code, nil when a signal ended the process
-- @treturn string everything that the process wrote to stderr
function Process:finish(signal)
    if signal ~= nil then
        self.process:signal(signal)
    end
    local status = self.process:wait()
    M.wait_for(function() return self.has_ended end)
    self.process:close()
    return status.exit_code, self.errors
end

function Process:stop()
    return self:finish(popen.signal.SIGTERM)
end

function Process:kill()
    return self:finish(popen.signal.SIGKILL)
end

--- A collection of test cases, run in order. A case gets a `tap` test and must assert something.
function M.suite(name)
    local suite = {cases = {}}

    function suite:case(behaviour, check)
        table.insert(self.cases, {behaviour, check})
    end

    --- Run the cases and end the process.
    function suite:run()
        local all = tap.test(name)
        all:plan(#self.cases)
        all.trace = false
        for _, case in ipairs(self.cases) do
            all:test(case[1], function(test)
                test.trace = false
                local ok, err = xpcall(case[2], debug.traceback, test)
                if not ok then
                    test:fail(tostring(err))
                elseif test.total == 0 then
                    test:fail('the case asserts nothing')
                end
                test:plan(test.total)
            end)
        end
        os.exit(all:check() and 0 or 1)
    end

    return suite
end

return M
