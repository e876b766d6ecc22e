-- id: kernel-module-loaded
-- title: Kernel module was loaded from a file
-- description: insmod, or modprobe with a path of its own, put code into the kernel
--   from outside the modules that belong to it. Rootkits are loaded so.
-- severity: medium
-- tags: attack.persistence, attack.stealth, attack.t1547.006, attack.t1014
-- dedup: user_id, command_line
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1547/006/, https://attack.mitre.org/techniques/T1014/
-- falsepositives: development of kernel modules
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- kmod is one program under several names: which one stands in argv[0].
SELECT time, entity_id, pid, user_name, command_line, cwd, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (invoked_path ~ '(^|/)insmod$'
      AND command_line !~ ' (/usr)?/lib/modules/[^ ]+\.ko([. ]|$)')
    OR (invoked_path ~ '(^|/)modprobe$'
      AND command_line ~ ' (-d|--dirname)[ =]*/(tmp|var/tmp|dev/shm|home|root)')
  )
