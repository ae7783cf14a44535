Í®∏À”•œÏ‹?›


:authority127.0.0.1:18443

:path/x

:methodGET

:schemehttp

accept-encodingidentity
 

user-agentPython-urllib/3.11

x-forwarded-protohttp
4
x-request-id$24125062-4106-461d-9875-7003b9acede8M®∏À”•œÏ‹?*A

:status200

content-length2

content-type
text/plain®∏À”•œÏ‹?2
hi