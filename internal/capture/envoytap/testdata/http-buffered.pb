
ö
Ü


:authority127.0.0.1:18443


:path/
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
x-request-id$33de0f57-0aec-4918-b938-acd440489644”

:status200

content-length2

content-type
text/plain
%
dateWed, 25 Nov 2026 17:00:42 GMT

serverenvoy


connectionclose
hi