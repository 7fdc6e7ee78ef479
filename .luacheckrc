std = 'luajit+tarantool'
max_line_length = 120
-- What Tarantool adds to LuaJIT's own names.
stds.tarantool = { read_globals = { 'box', 'tonumber64', os = { fields = { 'environ', 'setenv' } },
    string = { fields = { 'fromhex' } } } }
