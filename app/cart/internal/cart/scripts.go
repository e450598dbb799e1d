package cart

import "github.com/redis/go-redis/v9"

// Each change is one script, so it is atomic whatever else happens to the cart.
//
// KEYS[1] is the cart: a hash of product id to quantity, and its version.
// ARGV[1] is the version that the change insists on, if any; ARGV[2] the version that the cart has
// afterwards; ARGV[3] how long it is kept, in seconds; what follows belongs to the change.
const (
	checkVersion = `
local current = redis.call('HGET', KEYS[1], 'version') or '0'
if ARGV[1] ~= '' and ARGV[1] ~= current then return {1} end
`
	// What every change ends with: a cart without products is no cart.
	finish = `
if redis.call('HLEN', KEYS[1]) <= 1 then
    redis.call('DEL', KEYS[1])
else
    redis.call('HSET', KEYS[1], 'version', ARGV[2])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return {0}
`
)

var (
	// ARGV: product, quantity, most products. Returns the cart as it is then.
	putScript = redis.NewScript(checkVersion + `
if redis.call('HEXISTS', KEYS[1], ARGV[4]) == 0
    and redis.call('HLEN', KEYS[1]) > tonumber(ARGV[6]) then return {2} end
redis.call('HSET', KEYS[1], ARGV[4], ARGV[5], 'version', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {0, redis.call('HGETALL', KEYS[1])}
`)
	// ARGV: product.
	removeScript = redis.NewScript(checkVersion + `
if redis.call('HDEL', KEYS[1], ARGV[4]) == 0 then return {0} end
` + finish)
	clearScript = redis.NewScript(checkVersion + `
redis.call('DEL', KEYS[1])
return {0}
`)
	// KEYS[2] remembers the purchase. ARGV: for how many seconds, then product, quantity, …
	subtractScript = redis.NewScript(`
if not redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[4]) then return {0} end
if redis.call('EXISTS', KEYS[1]) == 0 then return {0} end
for i = 5, #ARGV, 2 do
    local held = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
    local left = held - tonumber(ARGV[i + 1])
    if left > 0 then redis.call('HSET', KEYS[1], ARGV[i], left)
    else redis.call('HDEL', KEYS[1], ARGV[i]) end
end
` + finish)
)

// What a script's first value says.
const (
	done = iota
	versionDiffers
	full
)
