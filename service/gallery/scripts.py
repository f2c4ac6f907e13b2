"""The Lua scripts of the gallery: each is one atomic step, so that no death in between leaves half a record.

The ``#!lua`` line makes the server refuse a script as a whole when it is out of memory or a read-only replica.
"""

from __future__ import annotations

# KEYS: record, all, facet, cameras, longest, erased, changes
# ARGV: id, revision, started, duration, camera, modality, maxlen of the stream, then fields and values
# Returns 0 stored, 1 stale, 2 erased, 3 belongs to another camera or modality
# A vector of another model is moved aside and not lost: the gallery may be searched by it.
PUT = """#!lua
if redis.call('ZSCORE', KEYS[6], ARGV[1]) then return 2 end
local old = redis.call('HMGET', KEYS[1], 'revision', 'camera', 'modality', 'model', 'vector')
if old[1] then
  if tonumber(old[1]) >= tonumber(ARGV[2]) then return 1 end
  if old[2] ~= ARGV[5] or old[3] ~= ARGV[6] then return 3 end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 8))
if old[4] and old[5] and redis.call('HGET', KEYS[1], 'model') ~= old[4] then
  redis.call('HSET', KEYS[1], 'other_model', old[4], 'other_revision', old[1], 'other_vector', old[5])
end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
redis.call('SADD', KEYS[4], ARGV[5])
if tonumber(redis.call('GET', KEYS[5]) or 0) < tonumber(ARGV[4]) then redis.call('SET', KEYS[5], ARGV[4]) end
redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[7], '*',
  'op', 'put', 'id', ARGV[1], 'revision', ARGV[2], 'camera', ARGV[5], 'new', old[1] and '0' or '1')
return 0
"""

# KEYS: record, all, erased, changes, holds. ARGV: id, maxlen, seconds for which the erasure is remembered
# Returns 1 when there was a record, -1 when it is under hold and stays. What comes late for an erased id is refused by
# PUT. Holds are looked at here, so that one placed a moment before is never too late.
DELETE = """#!lua
if redis.call('HEXISTS', KEYS[5], ARGV[1]) == 1 then return -1 end
local old = redis.call('HMGET', KEYS[1], 'camera', 'modality')
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[3]))
redis.call('ZADD', KEYS[3], now, ARGV[1])
local known = redis.call('ZREM', KEYS[2], ARGV[1])
if old[1] and old[2] then redis.call('ZREM', KEYS[2] .. ':of:' .. old[1] .. ':' .. old[2], ARGV[1]) end
local gone = redis.call('DEL', KEYS[1])
if gone == 0 and known == 0 then return 0 end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[2], '*',
  'op', 'delete', 'id', ARGV[1], 'camera', old[1] or '')
return 1
"""

# KEYS: record, holds. ARGV: id, no footage as a record has it. Returns 1 when there was any, -1 when it is under hold
# and stays.
DROP_FOOTAGE = """#!lua
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return -1 end
local old = redis.call('HGET', KEYS[1], 'footage')
if not old or old == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'footage', ARGV[2])
return 1
"""

# A record's revision for an index of the model ARGV[1]: twice the record's, and one more when that model's vector is of
# this very revision. So it rises also when a sighting is re-embedded, and an index takes the new vector.
_INDEXED = """
local function indexed(revision, model, other, other_revision)
  if not tonumber(revision) then return revision end
  local made = model == ARGV[1] or (other == ARGV[1] and other_revision == revision)
  return string.format('%.0f', 2 * tonumber(revision) + (made and 1 or 0))
end
"""

# KEYS: records. ARGV: model. Returns one string: for each record the lengths of seven fields (4 bytes each,
# little-endian), then the fields; a missing record has empty ones. One reply of hundreds of records is several times
# faster to read than hundreds of replies. Of a record with two vectors it is the one of the model.
ROWS = f"""#!lua flags=no-writes
{_INDEXED}
local out = {{}}
for _, key in ipairs(KEYS) do
  local f = redis.pcall('HMGET', key, 'revision', 'camera', 'modality', 'started', 'ended', 'model', 'vector',
    'other_model', 'other_revision')
  if f.err then f = {{}} end
  f[1] = indexed(f[1], f[6], f[8], f[9])
  if f[6] ~= ARGV[1] and f[8] == ARGV[1] then f[6], f[7] = f[8], redis.call('HGET', key, 'other_vector') end
  for i = 1, 7 do f[i] = f[i] or '' end
  out[#out + 1] = struct.pack('<I4I4I4I4I4I4I4', #f[1], #f[2], #f[3], #f[4], #f[5], #f[6], #f[7])
  out[#out + 1] = table.concat(f, '', 1, 7)
end
return table.concat(out)
"""

# KEYS: records. ARGV: model. Returns their revisions as one string, comma-separated; -1 for none.
REVISIONS = f"""#!lua flags=no-writes
{_INDEXED}
local out = {{}}
for i, key in ipairs(KEYS) do
  local f = redis.pcall('HMGET', key, 'revision', 'model', 'other_model', 'other_revision')
  local revision = not f.err and indexed(f[1], f[2], f[3], f[4])
  out[i] = type(revision) == 'string' and revision or '-1'
end
return table.concat(out, ',')
"""

# KEYS: record, the gallery's model, changes. ARGV: id, revision that was read, model, vector, maxlen of the stream.
# Returns whether it was written: not for a record that was erased or has a later revision, nor twice. Indexes are told
# only when they are of this model.
REEMBED = """#!lua
local f = redis.call('HMGET', KEYS[1], 'revision', 'model', 'camera', 'other_model', 'other_revision')
if f[1] ~= ARGV[2] or f[2] == ARGV[3] then return 0 end
if f[4] == ARGV[3] and f[5] == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'other_model', ARGV[3], 'other_revision', ARGV[2], 'other_vector', ARGV[4])
if redis.call('HGET', KEYS[2], 'hash') == ARGV[3] then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*',
    'op', 'put', 'id', ARGV[1], 'revision', ARGV[2], 'camera', f[3], 'new', '0')
end
return 1
"""

# KEYS: record. ARGV: the gallery's model. Its vector becomes the record's, and the other one goes.
SETTLE = """#!lua
local f = redis.call('HMGET', KEYS[1], 'revision', 'model', 'other_model', 'other_revision', 'other_vector')
if not f[3] then return 0 end
if f[2] ~= ARGV[1] then
  if f[3] ~= ARGV[1] or f[4] ~= f[1] then return 0 end
  redis.call('HSET', KEYS[1], 'model', ARGV[1], 'vector', f[5])
end
redis.call('HDEL', KEYS[1], 'other_model', 'other_revision', 'other_vector')
return 1
"""
