-- Health check of a shard's container. Exits with 0 if the store user can log in and the stored procedures answer.
local net_box = require('net.box')

local connection = net_box.connect('127.0.0.1:3301', {
    user = os.getenv('TARANTKV_STORE_USER'),
    password = os.getenv('TARANTKV_STORE_PASSWORD'),
    connect_timeout = 3,
})
local ok, description = pcall(connection.call, connection, 'tarantkv.describe', {}, { timeout = 3 })
if not ok then
    io.stderr:write(tostring(description), '\n')
    os.exit(1)
end
os.exit(description.shard == os.getenv('TARANTKV_SHARD') and 0 or 1)
