-- id: attack-tool
-- title: Tool of attackers was run
-- description: The program, or the script that an interpreter was given, bears the name of a
--   tool that is used to break in, to raise rights or to move on.
-- severity: high
-- tags: attack.execution, attack.discovery, attack.credential-access, attack.t1588.002,
--   attack.t1046
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1588/002/
-- falsepositives: tests of a security team
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    executable_path ~* '/(pspy(32|64)?s?|linpeas[^/]*|lse\.sh|chisel|ligolo[^/]*|sliver[^/]*|merlinagent[^/]*|msfconsole|msfvenom|meterpreter[^/]*|hydra|medusa|patator|hashcat|john|sqlmap|nikto|gobuster|feroxbuster|ffuf|wfuzz|masscan|zmap|responder|crackmapexec|netexec|nxc|kerbrute|bettercap|mimipenguin|lazagne|traitor|deepce|cdk|peirates|fscan)$'
    OR (executable_path ~ '/((ba|da|k|z)?sh|python[0-9.]*|perl|ruby[0-9.]*)$'
      AND command_line ~* '^[^ ]+ (-[a-z]+ )*([^ ]*/)?(linpeas|linenum|lse|les|linux-exploit-suggester[^ ]*|unix-privesc-check|linuxprivchecker|pspy|deepce|mimipenguin|lazagne|secretsdump|impacket-[a-z]+|psexec|wmiexec|sqlmap|msfconsole|theharvester)(\.(sh|py|pl|rb))?( |$)')
  )
