-- What wrk asks, and what it says in the end. Arguments: METHOD PREFIX PAGES; several pages are asked for in turn.
function init(args)
  local method, prefix, pages = args[1] or "GET", args[2], tonumber(args[3] or "1")
  wrk.method = method
  if pages > 1 then
    local turn = math.random(pages)
    request = function()
      turn = turn % pages + 1
      return wrk.format(method, prefix .. turn)
    end
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("\nload: requests=%d seconds=%f p50=%f p99=%f failed=%d\n", summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, failed))
end
