-- id: container-escape
-- title: Container given or taking the host
-- description: A command enters the namespaces of the host's first process, reaches its
--   files through /proc/1/root, or starts a container that has the host's whole file system.
-- severity: high
-- tags: attack.privilege-escalation, attack.t1611, attack.execution, attack.t1610
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1611/, https://attack.mitre.org/techniques/T1610/
-- falsepositives: node debugging by a cluster's administrator, monitoring agents that mount the host's root
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- Scripts of packages compare / with /proc/1/root/. to see whether they run in
-- a chroot; they name no file below it.
SELECT time, entity_id, pid, user_name, executable_path, command_line, container_id, parent_executable_path
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (executable_path ~ '/nsenter$' AND command_line ~ ' (-[a-zA-Z]*t *|--target[= ])1( |$)')
    OR command_line ~ '[ =]/proc/1/root/[A-Za-z0-9]'
    OR (executable_path ~ '/(docker|podman|nerdctl|ctr)[^/]*$'
      AND command_line ~ ' (run|create) '
      AND (command_line ~ ' (-v|--volume)[= ]?/:/'
        OR command_line ~ ' --mount[= ][^ ]*(source|src)=/(,| |$)'
        OR (command_line ~ ' --privileged( |=true|$)' AND command_line ~ ' --pid[= ]host( |$)')))
    OR (executable_path ~ '/(ba|da|k|z)?sh$' AND command_line ~ '> *[^ ;]*/release_agent([ ;&]|$)')
  )
