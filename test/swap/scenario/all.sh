# The scenario: a mail host from its first configuration to its last message.
# The parts share one shell.
. /mnt/scenario/lib.sh
. /mnt/scenario/tools.sh
. /mnt/scenario/configure.sh
. /mnt/scenario/start.sh
. /mnt/scenario/local.sh
. /mnt/scenario/net.sh
. /mnt/scenario/remote.sh
. /mnt/scenario/corners.sh
. /mnt/scenario/stop.sh
