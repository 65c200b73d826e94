-- name, process, pulse: it ends, and is kept as it was
local is = heard(ARGV[1])
if is and is.instance == ARGV[2] then
  beat(ARGV[1], ARGV[2], int(is.beat), is.began, '-', ARGV[3])
end
