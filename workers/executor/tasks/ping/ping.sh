# The task comes in canonical form: {"message":"…","type":"ping"}, or without the message.
IFS= read -r task || :
case $task in
'{"message":'*) printf '%s,"pong":true}\n' "${task%,\"type\":\"ping\"\}}" ;;
*) printf '{"pong":true}\n' ;;
esac
