--- Runs the Lua tests: every `*_test.lua` in a process of its own, with a directory of its own, under a time limit.
-- Prints TAP, one line per file with the file's own TAP indented below; the exit code is 1 when anything failed.
--
--     tarantool tarantool-cluster/test/run.lua [file name, or part of one ...]

local ffi = require('ffi')
local fio = require('fio')
local fiber = require('fiber')
local popen = require('popen')

local LIMIT_S = 60
local here = fio.dirname(fio.abspath(arg[0]))
local tarantool = fio.readlink('/proc/self/exe') or arg[-1]

local function is_wanted(name)
    if #arg == 0 then
        return true
    end
    for _, part in ipairs(arg) do
        local is_whole = part:match('_test%.lua$') ~= nil
        if name == part or (not is_whole and name:find(part, 1, true)) then
            return true
        end
    end
    return false
end

local function remove_tree(path)
    -- A test may have made its directory read-only.
    fio.chmod(path, tonumber('700', 8))
    fio.rmtree(path)
end

--- The process of the present test file, and its directory.
local current = nil

-- If a run is interrupted, it removes its files and ends with a signal's exit code.
ffi.cdef('void _exit(int code);')
box.ctl.on_shutdown(function()
    if current ~= nil then
        current.process:signal(popen.signal.SIGKILL)
        remove_tree(current.directory)
        ffi.C._exit(1)
    end
end)

--- Run one file; its output is indented and printed at once.
-- @treturn string what went wrong, nil if nothing did
local function run(file)
    local directory = fio.tempdir()
    -- A session of its own, so that all programs of the test end with it.
    local process = popen.new({'/bin/sh', '-c', 'cd "$1" && exec "$2" "$3"', 'sh', directory, tarantool, file}, {
        stdin = popen.opts.DEVNULL, stdout = popen.opts.PIPE, stderr = popen.opts.INHERIT,
        setsid = true, group_signal = true,
    })
    current = {process = process, directory = directory}
    local is_late = false
    local watch = fiber.new(function()
        fiber.sleep(LIMIT_S)
        is_late = true
        process:signal(popen.signal.SIGKILL)
    end)
    local rest = ''
    while true do
        local part = process:read()
        if part == nil or part == '' then
            break
        end
        rest = (rest .. part):gsub('([^\n]*)\n', function(line)
            print('    ' .. line)
            return ''
        end)
    end
    if rest ~= '' then
        print('    ' .. rest)
    end
    local status = process:wait()
    pcall(fiber.cancel, watch)
    process:close()
    remove_tree(directory)
    current = nil
    if is_late then
        return ('took longer than %d s'):format(LIMIT_S)
    elseif status.exit_code ~= 0 then
        return ('ended with %s'):format(status.signo and 'signal ' .. status.signo or 'exit code ' .. status.exit_code)
    end
end

local files = {}
for _, file in ipairs(fio.glob(fio.pathjoin(here, '*_test.lua'))) do
    if is_wanted(fio.basename(file)) then
        table.insert(files, file)
    end
end
table.sort(files)

io.stdout:setvbuf('line')
print('TAP version 13')
print(('1..%d'):format(#files))
local failed = 0
for number, file in ipairs(files) do
    local problem = run(file)
    if problem == nil then
        print(('ok %d - %s'):format(number, fio.basename(file)))
    else
        failed = failed + 1
        print(('not ok %d - %s: %s'):format(number, fio.basename(file), problem))
    end
end
print(('# %d of %d files failed'):format(failed, #files))
os.exit((failed > 0 or #files == 0) and 1 or 0)
