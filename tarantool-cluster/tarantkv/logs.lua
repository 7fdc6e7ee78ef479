--- A look at the newest write-ahead log before Tarantool reads it, for the one damage that it does not notice.
-- Every block of a log is checked when it is read, but not the length in front of it: one that points past the end of
-- the file looks like the write that a crash interrupted, and the log is taken to end there. So what was acknowledged
-- after it would be lost without a word. Here such a block is told from the last one by what follows it. In an older
-- log the next one's beginning shows the gap.
-- @module tarantkv.logs

local bit = require('bit')
local ffi = require('ffi')
local fio = require('fio')

local M = {}

local HEAD = 19
local WINDOW = 1024 * 1024
--- So much is looked through for another block: more than any write is long.
local REST = 64 * 1024 * 1024
--- How a block begins: its rows as they are, or compressed.
local PLAIN, COMPRESSED = '\xd5\xba\x0b\xab', '\xd5\xba\x0b\xba'

local bytes_t = ffi.typeof('const uint8_t *')

--- The length that a block's head tells, nil if Tarantool would refuse the head.
local function length(head, at)
    local magic = ffi.string(head + at, 4)
    if magic ~= PLAIN and magic ~= COMPRESSED then
        return nil
    end
    local kind = head[at + 4]
    if kind < 0x80 then
        return kind
    elseif kind == 0xcc then
        return head[at + 5]
    elseif kind == 0xcd then
        return bit.bor(bit.lshift(head[at + 5], 8), head[at + 6])
    elseif kind == 0xce then
        return head[at + 5] * 16777216 + head[at + 6] * 65536 + head[at + 7] * 256 + head[at + 8]
    end
    return nil
end

--- Go from block to block.
-- @treturn number where the first block is that does not end within the file, nil if there is none, or nothing that
-- Tarantool would take for one
local function unfinished(file, start, size)
    local at = start
    while true do
        local window = file:pread(WINDOW, at)
        local head, offset = ffi.cast(bytes_t, window), 0
        if #window < HEAD then
            return nil
        end
        while offset + HEAD <= #window do
            local bytes = length(head, offset)
            if bytes == nil then
                return nil
            elseif at + offset + HEAD + bytes > size then
                return at + offset
            end
            offset = offset + HEAD + bytes
        end
        at = at + offset
    end
end

--- Where a whole block begins in the rest of a log, nil if nowhere: one that ends with it or where another begins.
local function whole_block(rest)
    local head = ffi.cast(bytes_t, rest)
    local from = 2
    while true do
        local found = rest:find('\xd5\xba\x0b[\xab\xba]', from)
        if found == nil or found - 1 + HEAD > #rest then
            return nil
        end
        local bytes = length(head, found - 1)
        local after = bytes and found - 1 + HEAD + bytes
        if after == #rest or (after and after + 4 <= #rest and rest:sub(after + 1, after + 2) == '\xd5\xba')
                or (after and rest:sub(after + 1) == '\xd5\x10\xad\xed') then
            return found - 1
        end
        from = found + 1
    end
end

--- What is wrong with the newest log of a directory.
-- @tparam string directory
-- @treturn string nil if nothing is, or nothing that Tarantool does not notice itself
function M.fault(directory)
    local paths = fio.glob(fio.pathjoin(directory, '*.xlog'))
    table.sort(paths)
    local path = paths[#paths]
    local file = path and fio.open(path, {'O_RDONLY'})
    if file == nil then
        return nil
    end
    local size = file:stat().size
    local _, start = file:pread(4096, 0):find('\n\n', 1, true)
    local at = start and unfinished(file, start, size)
    local next_block = at and whole_block(file:pread(math.min(size - at, REST), at))
    file:close()
    if next_block == nil then
        return nil
    end
    return ('the log %s is damaged at byte %d: the block there is longer than the file, and more follow it'):format(
        path, at)
end

return M
