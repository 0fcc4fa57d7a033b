-- New tasks, each with IDs of its own. Arguments: eight hex digits of this run, and where to write
-- the IDs of tasks that were acknowledged (then the answers are looked at, which costs).

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local sent, mark, file = 0, nil, nil
local body = '{"ID":"%s","State":2,"Task":{"ID":"%s","Name":"bench","Image":"bench/absent:1",'
  .. '"PullPolicy":"never","Command":["sleep","1000"],"Env":{"A":"1"}}}'
local headers = { ["Content-Type"] = "application/json" }

function init(args)
  mark = args[1]
  if args[2] then
    file = io.open(args[2] .. "." .. number, "w")
    response = function(status, _, answer)
      if status == 201 then
        file:write(answer:match('"ID":"([0-9a-f-]+)"'), "\n")
        file:flush()
      end
    end
  end
end

function request()
  sent = sent + 1
  local tail = string.format("-%04x-4000-8000-%012x", number, sent)
  return wrk.format("POST", "/tasks", headers, body:format(mark .. tail, mark .. tail))
end
