--- The rights of the database's users, the console that a shard opens, and variables that it must not read.

local fio = require('fio')
local here = fio.dirname(fio.abspath(arg[0]))
package.path = fio.pathjoin(here, '?.lua') .. ';' .. fio.pathjoin(here, '..', '?.lua') .. ';' .. package.path

local net_box = require('net.box')
local socket = require('socket')
local support = require('support')

local suite = support.suite('rights')

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

--- The shard's own lines on stderr.
local function own_lines(errors)
    local lines = {}
    for line in errors:gmatch('tarantkv shard: [^\n]*') do
        table.insert(lines, line)
    end
    return lines
end

suite:case('the store user may call the two procedures and nothing else', function(test)
    local base = environment()
    local shard = support.spawn(base)
    local connection = shard:connect()
    test:is(connection:call('tarantkv.describe').shard, 's1', 'describe')
    test:is_deeply(connection:call('tarantkv.apply', {{}}), {}, 'apply')
    for _, name in ipairs({
        'tarantkv', 'tarantkv.other', 'box.schema.user.info', 'box.info', 'box.cfg', 'box.snapshot', 'os.exit',
        'os.execute', 'print', 'box.space.kv:select', 'box.session.su', 'loadstring', 'dostring',
    }) do
        test:ok(not pcall(connection.call, connection, name), name .. ' is denied')
    end
    test:ok(not pcall(connection.eval, connection, 'return 1'), 'eval is denied')
    test:is(connection.space.kv, nil, 'the spaces are not even seen')
    local KV = 512
    for id = KV, KV + 6 do
        test:ok(not pcall(function() return connection:_request('select', {}, nil, id, 0, 0, 0, 1, {}) end),
            'nor can they be read by number')
    end
    connection:close()
    test:is(shard:connect('tarantkv', 'wrong'), nil, 'a wrong password is refused')
    test:is(shard:connect('admin', ''), nil, 'admin cannot log in')
    local guest = net_box.connect(base.TARANTKV_SHARD_LISTEN)
    test:ok(not pcall(guest.call, guest, 'tarantkv.describe'), 'guest may not call')
    test:ok(not pcall(guest.call, guest, 'box.schema.user.info'), 'guest may do nothing')
    test:is(shard:stop(), 0, 'ended')
end)

suite:case('a new password or user name replaces the old one', function(test)
    local base = environment()
    local shard = support.spawn(base)
    shard:connect():close()
    shard:stop()
    base.TARANTKV_STORE_PASSWORD = 'changed'
    shard = support.spawn(base)
    test:ok(shard:connect('tarantkv', 'changed'), 'the new password is good')
    test:is(shard:connect('tarantkv', 'secret'), nil, 'the old one is not')
    shard:stop()
    base.TARANTKV_STORE_USER = 'other'
    shard = support.spawn(base)
    test:is(shard:connect('other', 'changed'):call('tarantkv.describe').shard, 's1', 'another user')
    local former = shard:connect('tarantkv', 'changed')
    test:ok(former == nil or not pcall(former.call, former, 'tarantkv.describe'), 'the former one may do nothing more')
    shard:stop()
end)

suite:case('the console is a socket for the owner only', function(test)
    local path = fio.pathjoin(fio.cwd(), 'console.sock')
    local shard = support.spawn(environment({TARANTKV_SHARD_CONSOLE = path}))
    shard:connect():close()
    test:is(fio.stat(path).mode % 512, tonumber('600', 8), 'mode 600')
    local console = socket.tcp_connect('unix/', path)
    console:read('\n')
    console:write('return box.session.user(), tarantkv.describe().shard\n')
    local answer = console:read({delimiter = '...\n'}, 5)
    console:close()
    test:ok(answer and answer:find('admin') and answer:find('s1'), 'an administrator is at home there')
    test:is(shard:stop(), 0, 'ended')
    shard = support.spawn(environment({TARANTKV_SHARD_CONSOLE = fio.pathjoin(fio.cwd(), 'no/such/place.sock')}))
    local code, errors = shard:finish()
    test:is(code, 1, 'a path that cannot be is an error')
    test:is(#own_lines(errors), 1, 'of one line')
end)

suite:case('variables of an image or supervisor do not reach the database', function(test)
    local other = support.free_port()
    local base = environment({TT_LISTEN = '127.0.0.1:' .. other, TT_READ_ONLY = 'true', TT_MEMTX_MEMORY = '1'})
    local shard = support.spawn(base)
    test:is(shard:connect():call('tarantkv.describe').ro, false, 'it starts as its own settings say')
    test:is(socket.tcp_connect('127.0.0.1', other), nil, 'and listens nowhere else')
    shard:stop()
end)

suite:run()
