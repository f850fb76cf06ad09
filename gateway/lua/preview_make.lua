-- Keep a preview. KEYS: the preview. ARGV: action, params (sealed), expires ms, life of the record s.
redis.call('HSET', KEYS[1], 'action', ARGV[1], 'params', ARGV[2], 'expires', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
