# A mail host is configured.

part control files
cd $qmail/control
echo swap.test >me
echo swap.test >defaultdomain
echo test >plusdomain
printf 'swap.test\nlocal.test\n' >locals
printf 'swap.test\nlocal.test\nvirt.test\n' >rcpthosts
printf 'many.test\n.more.test\n' >morercpthosts
printf 'virt.test:bob-virt\n.virt.test:bob-sub\nexcept.virt.test:\nuser@swap.test:alice-user\n' >virtualdomains
echo swap.test >percenthack
echo bad@remote.test >badmailfrom
echo 1 >timeoutconnect
printf 'routed.test:127.0.0.2:25\n' >smtproutes
echo 127.0.0.1 >qmqpservers
try qmail-newmrh
try qmail-showctl | grep -v '^silent concurrency limit: ' # ours is 255

part aliases and homes
cd $qmail/alias
echo '&bob' >.qmail-postmaster
echo '&postmaster' >.qmail-mailer-daemon
echo ./Mailbox >.qmail-root
chown alias .qmail*
for user in alice bob; do
	cd /mnt/home/$user
	try setuidgid $user maildirmake Maildir
done
try setuidgid bob maildirmake /mnt/home/bob/Maildir
cd /mnt/home/alice
cp /mnt/scenario/alice/* .
for file in qmail-*; do mv $file .$file; done
cd /mnt/home/bob
echo ./Maildir/ >.qmail
echo ./Mailbox >.qmail-mbox
echo ./once/ >.qmail-once
echo '|cat >/dev/null; echo "$LOCAL@$HOST is $EXT, $EXT2; $DEFAULT" >>virtual' >.qmail-virt-default
echo ./Mailbox >.qmail-sub-default
chown bob .qmail*
cd /mnt/home/alice
chown alice .qmail*
