#!/usr/bin/env tarantool
--- Entry point of a shard: reads the settings, opens the database, creates or checks schema, identity and users, and
-- listens last, so that no client reaches an incomplete shard. The modules in `tarantkv/` define what a shard does.
-- Exit codes: 78 for wrong settings or data of another shard, 1 for anything else. A line on stderr says what is wrong.

local fio = require('fio')

local here = fio.dirname(fio.abspath(arg[0]))
-- Modules are not found by package.path: in it, a `?` or `;` in a directory's name would be syntax.
table.insert(package.loaders, 2, function(name)
    local file = fio.pathjoin(here, (name:gsub('%.', '/')) .. '.lua')
    if not fio.path.exists(file) then
        return '\n\tno file ' .. file
    end
    local chunk, fault = loadfile(file)
    return chunk or error(fault, 0)
end)

local EXIT_FAULT, EXIT_CONFIG = 1, 78
local MEBIBYTE = 1024 * 1024
local MAX_TUPLE_BYTES = MEBIBYTE

--- End the process, and report why in one line.
local function refuse(code, message)
    io.stderr:write('tarantkv shard: ', (tostring(message):gsub('%s*\n%s*', ' ')), '\n')
    io.stderr:flush()
    os.exit(code)
end

-- Tarantool 2.8 and later take missing options of box.cfg from TT_* variables, which an image or a supervisor may set
-- for other purposes. TT_LISTEN, for example, would open the port before the schema exists.
for name in pairs(os.environ()) do
    if name:match('^TT_') then
        os.setenv(name, nil)
    end
end

local read_ok, settings = pcall(require('tarantkv.settings').read, os.environ())
if not read_ok then
    if type(settings) == 'table' then
        settings = settings.setting .. ' ' .. settings.problem
    end
    refuse(EXIT_CONFIG, settings)
end

local made, make_error = fio.mktree(settings.directory)
if not made then
    refuse(EXIT_CONFIG, 'TARANTKV_SHARD_DIR cannot be created: ' .. tostring(make_error))
end

local directory = fio.abspath(settings.directory)
local configuration = {
    memtx_dir = directory,
    wal_dir = directory,
    vinyl_dir = directory,
    wal_mode = settings.wal_mode,
    memtx_memory = settings.memory_mib * MEBIBYTE,
    memtx_max_tuple_size = MAX_TUPLE_BYTES,
    -- Without this Tarantool makes a snapshot once an hour, and a restart may have to read the log of a whole hour.
    checkpoint_wal_threshold = math.max(1024, 2 * settings.memory_mib) * MEBIBYTE,
    log_level = settings.log_level,
    -- Lets an operator tell the shards of a machine apart in the list of processes.
    custom_proc_title = settings.shard,
}
-- Builds without the feedback daemon reject the option.
if rawget(box, 'internal') ~= nil and box.internal.feedback_daemon ~= nil then
    configuration.feedback_enabled = false
end

local fault = require('tarantkv.logs').fault(directory)
if fault ~= nil then
    refuse(EXIT_FAULT, ('shard %s cannot open %s: %s'):format(settings.shard, directory, fault))
end

local opened, open_error = pcall(box.cfg, configuration)
if not opened then
    refuse(EXIT_FAULT, ('shard %s cannot open %s: %s'):format(settings.shard, directory, tostring(open_error)))
end

local started, message = pcall(function()
    return require('tarantkv.shard').start(settings)
end)
if not started then
    refuse(EXIT_FAULT, ('shard %s cannot start: %s'):format(settings.shard, tostring(message)))
elseif message ~= nil then
    refuse(EXIT_CONFIG, ('shard %s: %s'):format(settings.shard, message))
end
