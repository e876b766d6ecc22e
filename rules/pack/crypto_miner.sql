-- id: crypto-miner
-- title: Crypto miner runs
-- description: A program has the name of a known miner, or arguments that only miners
--   have, such as the address of a pool in Stratum's form.
-- severity: high
-- tags: attack.impact, attack.t1496.001
-- dedup: executable_path, user_id
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1496/001/
-- falsepositives: miners that the owner of the machine runs
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- Programs that show or search text have a miner's arguments only as text.
SELECT time, entity_id, pid, user_name, executable_path, command_line, cpu_usage, parent_executable_path
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    executable_path ~* '/(xmrig|xmr-stak|minerd|cpuminer|cgminer|bfgminer|ethminer|nbminer|lolminer|t-rex|phoenixminer|gminer|kdevtmpfsi|kinsing)[^/]*$'
    OR ((command_line ~* 'stratum[0-9]?\+?(tcp|udp|ssl|tls)?://'
        OR command_line ~ ' --(donate-level|cpu-max-threads-hint|randomx-mode|randomx-1gb-pages|coin[= ]+monero)')
      AND coalesce(executable_path, '') !~ '/([efz]?grep|rg|ag|less|more|vi|vim[^/]*|nvim|nano|emacs[^/]*|git|man|cat|echo|printf|apt|apt-get|apt-cache|dpkg)$'
      AND coalesce(invoked_path, '') !~ '(^|/)([efz]?grep|less|man|vi)$')
  )
