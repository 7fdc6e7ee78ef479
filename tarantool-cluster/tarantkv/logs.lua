--- Checks the newest write-ahead log, before Tarantool reads it, for the one kind of damage that Tarantool does not
-- notice. Tarantool verifies the checksum of each block, but not the length in front of it. If a damaged length points
-- past the end of the file, the block looks like a write that a crash interrupted. Tarantool then takes the log as
-- complete, and silently loses acknowledged changes behind that block. This module finds such a block: other blocks
-- follow it. In older logs Tarantool notices the gap itself, by the beginning of the next log.
-- @module tarantkv.logs

local bit = require('bit')
local ffi = require('ffi')
local fio = require('fio')

local M = {}

local HEAD = 19
local WINDOW = 1024 * 1024
--- How many bytes are searched for another block: more than any write has.
local REST = 64 * 1024 * 1024
--- The first bytes of a block with plain rows, and of one with compressed rows.
local PLAIN, COMPRESSED = '\xd5\xba\x0b\xab', '\xd5\xba\x0b\xba'

local bytes_t = ffi.typeof('const uint8_t *')

--- The length in a block's head, nil if Tarantool would reject the head.
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

--- Find the first block that does not end within the file.
-- @treturn number where it begins; nil if there is none, or if Tarantool would reject a block before it
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

--- Where a complete block begins in the rest of a log, nil if there is none. A complete block ends at the end of the
-- log, or where another block begins.
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

--- The fault in the newest log of a directory.
-- @tparam string directory
-- @treturn string nil if there is none, or only one that Tarantool notices itself
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
    return ('the log %s is damaged at byte %d: the block there exceeds the file, but other blocks follow it'):format(
        path, at)
end

return M
