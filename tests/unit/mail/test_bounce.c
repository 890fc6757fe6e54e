/* Replies as hosts of the world give them, and the class of each. */
#include "mail/bounce.h"

#include <errno.h>
#include <string.h>

#include "mail/reply.h"
#include "mail/verdict.h"
#include "mail_test.h"

static enum bounce judge(const char *lines, const char *remote, const struct conf_map *rules)
{
    struct reply r = {0};
    struct verdict v = {0};
    AUTO_BUF struct buf wire = {0};

    for (const char *at = lines; *at; at++)
        buf_add_text(&wire, *at == '\n' ? "\r\n" : (char[]){*at, '\0'});
    buf_add_text(&wire, "\r\n");
    assert_int_equal(reply_feed(&r, buf_span(&wire)), wire.len);
    assert_true(r.is_complete);
    reply_verdict(&r, remote, &v);
    enum bounce b = bounce_of(&v, rules);
    verdict_done(&v);
    reply_done(&r);
    return b;
}

static const struct {
    const char *reply;
    enum bounce bounce;
} replies[] = {
    /* Gmail */
    {"550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email "
     "address for typos or\n550 5.1.1 unnecessary spaces. https://support.google.com/mail/?p=NoSuchUser a1-2b.3 - gsmtp",
     BOUNCE_BAD_MAILBOX},
    {"452-4.2.2 The email account that you tried to reach is over quota. Please direct\n452 4.2.2 the recipient to "
     "https://support.google.com/mail/?p=OverQuotaTemp x - gsmtp",
     BOUNCE_FULL},
    {"552 5.2.2 The recipient's inbox is out of storage space and inactive. https://support.google.com/mail/?p=OverQuotaPerm - gsmtp",
     BOUNCE_FULL},
    {"550 5.2.1 The email account that you tried to reach is disabled. https://support.google.com/mail/?p=DisabledUser - gsmtp",
     BOUNCE_INACTIVE},
    {"550-5.2.1 The email account that you tried to reach is\n550 5.2.1 inactive. https://support.google.com/ - gsmtp",
     BOUNCE_INACTIVE},
    {"450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend later. - gsmtp",
     BOUNCE_RATE},
    {"450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n450 4.2.1 prevents additional messages from being "
     "delivered. ReceivingRate - gsmtp",
     BOUNCE_RATE},
    {"421-4.7.0 [192.0.2.1      15] Our system has detected an unusual rate of\n421-4.7.0 unsolicited mail originating from your IP "
     "address.\n421 4.7.0 UnsolicitedRateLimitError - gsmtp",
     BOUNCE_RATE},
    {"421-4.7.28 Gmail has detected an unusual rate of email originating from your SPF\n421 4.7.28 domain. RateLimit - gsmtp",
     BOUNCE_RATE},
    {"550-5.7.1 [192.0.2.1] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To\n550 5.7.1 "
     "protect our users from spam, mail from it has been blocked. - gsmtp",
     BOUNCE_REPUTATION},
    {"550-5.7.1 [192.0.2.1] Our system has detected that this message is\n550-5.7.1 likely suspicious due to the very low reputation of "
     "the sending\n550 5.7.1 domain. - gsmtp",
     BOUNCE_REPUTATION},
    {"550-5.7.1 [192.0.2.1      12] Our system has detected that this message is\n550-5.7.1 likely unsolicited mail. To reduce the amount "
     "of spam sent to Gmail,\n550 5.7.1 this message has been blocked. UnsolicitedMessageError - gsmtp",
     BOUNCE_SPAM},
    {"550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550 5.7.26 Gmail requires all senders to "
     "authenticate with either SPF or DKIM. - gsmtp",
     BOUNCE_UNAUTHENTICATED},
    {"550-5.7.26 Unauthenticated email from example.com is not accepted due to\n550 5.7.26 domain's DMARC policy. - gsmtp",
     BOUNCE_UNAUTHENTICATED},
    {"421-4.7.27 Your email has been rate limited because SPF authentication didn't\n421 4.7.27 pass for this message. - gsmtp",
     BOUNCE_UNAUTHENTICATED},
    {"421 4.7.30 Your email has been rate limited because DKIM authentication didn't pass. - gsmtp",
     BOUNCE_UNAUTHENTICATED},
    {"421 4.7.32 Your email has been rate limited because the From: header isn't aligned with SPF or DKIM. - gsmtp",
     BOUNCE_UNAUTHENTICATED},
    {"421 4.7.29 Your email has been rate limited because this message wasn't sent over a TLS connection. - gsmtp",
     BOUNCE_TLS},
    {"550 5.7.25 The IP address sending this message does not have a PTR record setup. - gsmtp",
     BOUNCE_UNAUTHENTICATED},
    {"552-5.7.0 This message was blocked because its content presents a potential\n552 5.7.0 security issue. BlockedMessage - gsmtp",
     BOUNCE_CONTENT},
    {"550-5.7.1 Messages missing a valid messageId header are not\n550 5.7.1 accepted. - gsmtp",
     BOUNCE_CONTENT},
    {"421 4.7.0 TLS required for RCPT domain, closing connection. - gsmtp", BOUNCE_TLS},
    {"421 4.7.0 Temporary System Problem.  Try again later (10). - gsmtp", BOUNCE_UNAVAILABLE},
    {"421 4.7.0 Try again later, closing connection. (EHLO) - gsmtp", BOUNCE_RATE},
    {"421 4.3.0 Temporary System Problem. Try again later. - gsmtp", BOUNCE_UNAVAILABLE},
    {"451 4.3.0 Mail server temporarily rejected message. - gsmtp", BOUNCE_UNAVAILABLE},
    {"452 4.5.3 Your message has too many recipients. - gsmtp", BOUNCE_RATE},
    {"452 4.5.3 Domain policy size per transaction exceeded, please try this recipient in a separate transaction. - gsmtp",
     BOUNCE_RATE},
    {"552-5.3.4 Your message exceeded Google's message size limits. Please visit\n552 5.3.4 https://support.google.com/ - gsmtp",
     BOUNCE_SIZE},
    {"550 5.4.5 Daily user sending limit exceeded. - gsmtp", BOUNCE_RATE},
    {"550 5.7.1 This message violates example.com email policy. - gcdp x - gsmtp", BOUNCE_POLICY},
    {"554 5.6.0 Mail message is malformed. Not accepted. - gsmtp", BOUNCE_CONTENT},
    {"550-5.7.1 This message is not RFC 5322 compliant. There are multiple From headers.\n550 5.7.1 - gsmtp",
     BOUNCE_CONTENT},
    {"451 4.4.2 Timeout - closing connection. - gsmtp", BOUNCE_NETWORK},
    {"535-5.7.8 Username and Password not accepted. Learn more at\n535 5.7.8 https://support.google.com/ - gsmtp",
     BOUNCE_RELAY},
    {"530-5.7.0 Authentication Required. Learn more at\n530 5.7.0 https://support.google.com/ - gsmtp",
     BOUNCE_RELAY},
    {"530 5.7.0 Must issue a STARTTLS command first. - gsmtp", BOUNCE_TLS},
    {"550 5.7.1 The IP you're using to send mail is not authorized to send email directly to our servers. - gsmtp",
     BOUNCE_POLICY},
    /* Microsoft */
    {"550 5.4.1 Recipient address rejected: Access denied. [AM0EUR02FT010.eop-EUR02.prod.protection.outlook.com]",
     BOUNCE_BAD_MAILBOX},
    {"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@example.com not found by SMTP address lookup",
     BOUNCE_BAD_MAILBOX},
    {"550 5.1.1 RESOLVER.ADR.RecipNotFound; not found", BOUNCE_BAD_MAILBOX},
    {"550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [DB3EUR04FT007]",
     BOUNCE_BAD_MAILBOX},
    {"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their "
     "network is on our block list (S3150).",
     BOUNCE_REPUTATION},
    {"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3140).",
     BOUNCE_REPUTATION},
    {"550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/",
     BOUNCE_REPUTATION},
    {"550 5.7.511 Access denied, banned sender[192.0.2.1]. To request removal from this list please forward this message",
     BOUNCE_REPUTATION},
    {"451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)",
     BOUNCE_RATE},
    {"451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", BOUNCE_RATE},
    {"421 RP-001 (BAY004-MC1F1) Unfortunately, some messages from 192.0.2.1 weren't sent. The IP has exceeded the rate limit",
     BOUNCE_RATE},
    {"550 SC-001 (BAY004-MC4F3) Unfortunately, messages from 192.0.2.1 weren't sent.", BOUNCE_REPUTATION},
    {"550 DY-001 (COL004-MC3F5) Unfortunately, messages from 192.0.2.1 weren't sent.", BOUNCE_REPUTATION},
    {"550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification and has a policy of reject",
     BOUNCE_UNAUTHENTICATED},
    {"550 5.7.515 Access denied, sending domain example.com doesn't meet the required authentication level",
     BOUNCE_UNAUTHENTICATED},
    {"550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", BOUNCE_REPUTATION},
    {"550 5.7.705 Access denied, tenant has exceeded threshold.", BOUNCE_RATE},
    {"550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed",
     BOUNCE_POLICY},
    {"550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy",
     BOUNCE_POLICY},
    {"550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus. To request removal see https://www.spamhaus.org/",
     BOUNCE_REPUTATION},
    {"550 5.7.64 TenantAttribution; Relay Access Denied", BOUNCE_RELAY},
    {"530 5.7.57 Client not authenticated to send mail.", BOUNCE_RELAY},
    {"432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", BOUNCE_RATE},
    {"452 4.3.1 Insufficient system resources", BOUNCE_UNAVAILABLE},
    {"554 5.4.14 Hop count exceeded - possible mail loop ATTR34", BOUNCE_LOOP},
    {"550 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour.",
     BOUNCE_RATE},
    {"450 4.7.26 Access denied, a message sent over IPv6 must pass either SPF or DKIM validation",
     BOUNCE_UNAUTHENTICATED},
    {"550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", BOUNCE_SIZE},
    {"451 4.4.62 Mail sent to the wrong Office 365 region. ATTR35.", BOUNCE_RELAY},
    {"554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", BOUNCE_FULL},
    {"421 4.3.2 Service not available, closing transmission channel", BOUNCE_UNAVAILABLE},
    {"454 4.7.5 The certificate chain was issued by an authority that is not trusted", BOUNCE_TLS},
    /* Yahoo, AOL */
    {"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see "
     "https://postmaster.yahooinc.com/error-codes",
     BOUNCE_RATE},
    {"421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
     BOUNCE_RATE},
    {"553 5.7.1 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
     BOUNCE_REPUTATION},
    {"553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
     BOUNCE_REPUTATION},
    {"451 4.7.1 [GL01] Message from (192.0.2.1) temporarily deferred", BOUNCE_GREYLIST},
    {"554 Message not allowed - [PH01] Email not accepted for policy reasons. Please visit https://",
     BOUNCE_SPAM},
    {"554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
     BOUNCE_UNAUTHENTICATED},
    {"554 delivery error: dd This user doesn't have a yahoo.com account (ann@yahoo.com) [0] - mta1",
     BOUNCE_BAD_MAILBOX},
    {"554 30 Sorry, your message to ann@yahoo.com cannot be delivered. This mailbox is disabled (554.30).",
     BOUNCE_INACTIVE},
    {"552 1 Requested mail action aborted, mailbox not found", BOUNCE_BAD_MAILBOX},
    {"451 VS1-IP Excessive unknown recipients - possible Open Relay", BOUNCE_RATE},
    {"421 Max message per connection reached, closing transmission channel", BOUNCE_RATE},
    {"451 mta4009.mail.bf1.yahoo.com Resources temporarily unavailable. Please try again later [#4.16.1].",
     BOUNCE_UNAVAILABLE},
    {"552 5.2.2 user is over quota", BOUNCE_FULL},
    /* Apple, Comcast, Cloudmark */
    {"554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/",
     BOUNCE_SPAM},
    {"550 5.7.1 [HM08] Message rejected due to local policy.", BOUNCE_SPAM},
    {"550 5.1.1 unknown or illegal alias: ann@icloud.com", BOUNCE_BAD_MAILBOX},
    {"421 4.1.0 192.0.2.1 Throttled - try again later. Please see http://postmaster.comcast.net/smtp-error-codes.php#RL000001",
     BOUNCE_RATE},
    {"554 imta12.comcast.net comcast 192.0.2.1 Comcast block for spam. Please see http://postmaster.comcast.net/#BL000001",
     BOUNCE_REPUTATION},
    {"554 5.7.1 192.0.2.1 found on one or more DNSBLs", BOUNCE_REPUTATION},
    {"554 mcc-ibgw.ext.cloudfilter.net cmsmtp 192.0.2.1 is listed on Cloudmark CSI-Global. AUP#RBL",
     BOUNCE_REPUTATION},
    {"550 5.2.0 ann@comcast.net Mailbox disabled", BOUNCE_INACTIVE},
    /* filters */
    {"554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", BOUNCE_REPUTATION},
    {"550 5.7.0 Local Policy Violation - 2a1b", BOUNCE_POLICY},
    {"550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown", BOUNCE_BAD_MAILBOX},
    {"421 4.7.1 <ann@example.com>: Throttled by Proofpoint Dynamic Reputation", BOUNCE_REPUTATION},
    {"550 Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550",
     BOUNCE_POLICY},
    {"550 Envelope blocked - User Entry - https://community.mimecast.com/docs/DOC-1369#550", BOUNCE_POLICY},
    {"550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [x.uk170]",
     BOUNCE_BAD_MAILBOX},
    {"451 Internal resource temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451",
     BOUNCE_GREYLIST},
    {"554 Email rejected due to security policies - MCSpamSignature.x", BOUNCE_SPAM},
    {"554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554",
     BOUNCE_CONTENT},
    {"550 SPF Sender Invalid - envelope rejected - https://community.mimecast.com/", BOUNCE_UNAUTHENTICATED},
    {"550 Rejected by header based Anti-Spoofing policy: ann@example.com", BOUNCE_POLICY},
    {"550 permanent failure for one or more recipients (ann@example.com:blocked)", BOUNCE_SPAM},
    {"554 rejecting banned content", BOUNCE_CONTENT},
    {"554 Service unavailable; Client host [mx1.example.com] blocked using Barracuda Reputation; http://bbl.barracudacentral.com/",
     BOUNCE_REPUTATION},
    {"554 Your access to submit messages to this e-mail system has been rejected.", BOUNCE_REPUTATION},
    {"550 5.7.1 Mail from 192.0.2.1 refused - see http://www.dnsbl.sorbs.net/", BOUNCE_REPUTATION},
    {"450 4.7.1 Client host rejected: deferred using Trend Micro Email Reputation database",
     BOUNCE_REPUTATION},
    {"554-gmx.net (mxgmx010) Nemesis ESMTP Service not available\n554-No SMTP service\n554-Bad DNS PTR resource record.\n554 For "
     "explanation visit https://postmaster.gmx.net/",
     BOUNCE_UNAUTHENTICATED},
    {"554-web.de (mxweb011) Nemesis ESMTP Service not available\n554-No SMTP service\n554-IP address is block listed.\n554 For "
     "explanation visit https://postmaster.web.de/",
     BOUNCE_REPUTATION},
    {"554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)",
     BOUNCE_REPUTATION},
    {"550 5.2.0 Mail rejete. Mail rejected. OFR_506 [506]", BOUNCE_SPAM},
    {"550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR204_416 [416]",
     BOUNCE_BAD_MAILBOX},
    {"421 mwinf5c03 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]",
     BOUNCE_RATE},
    {"550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=x or report details to abuse@corp.mail.ru.",
     BOUNCE_SPAM},
    {"550 Message was not accepted -- invalid mailbox.  Local mailbox ann@mail.ru is unavailable: user not found",
     BOUNCE_BAD_MAILBOX},
    {"451 Ratelimit exceeded for 192.0.2.1", BOUNCE_RATE},
    {"554 5.7.1 Message rejected under suspicion of SPAM; https://ya.cc/x", BOUNCE_SPAM},
    {"550 5.7.1 No such user!", BOUNCE_BAD_MAILBOX},
    {"550 Mailbox not found. http://service.mail.qq.com/", BOUNCE_BAD_MAILBOX},
    {"550 Mail content denied. http://service.mail.qq.com/", BOUNCE_SPAM},
    {"550 Ip frequency limited. http://service.mail.qq.com/", BOUNCE_RATE},
    {"554 DT:SPM 163 mx14,x http://mail.163.com/help/help_spam_16.htm", BOUNCE_SPAM},
    {"550 User is suspended", BOUNCE_INACTIVE},
    /* Postfix */
    {"550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
     BOUNCE_BAD_MAILBOX},
    {"550 5.1.1 <spam@example.com>: Recipient address rejected: User unknown in local recipient table",
     BOUNCE_BAD_MAILBOX},
    {"554 5.7.1 <ann@example.com>: Relay access denied", BOUNCE_RELAY},
    {"450 4.1.8 <bob@example.org>: Sender address rejected: Domain not found", BOUNCE_BAD_SENDER},
    {"450 4.1.2 <ann@example.com>: Recipient address rejected: Domain not found", BOUNCE_BAD_DOMAIN},
    {"450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]",
     BOUNCE_UNAUTHENTICATED},
    {"450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", BOUNCE_UNAUTHENTICATED},
    {"450 4.7.1 <mx1>: Helo command rejected: Host not found", BOUNCE_UNAUTHENTICATED},
    {"450 4.2.0 <ann@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html",
     BOUNCE_GREYLIST},
    {"450 4.1.1 <ann@example.com>: Recipient address rejected: unverified address: connect to mx[192.0.2.9]:25: Connection timed out",
     BOUNCE_UNAVAILABLE},
    {"550 5.1.1 <ann@example.com>: Recipient address rejected: undeliverable address: host mx said: 550",
     BOUNCE_BAD_MAILBOX},
    {"554 5.4.0 Error: too many hops", BOUNCE_LOOP},
    {"554 5.4.6 Too many hops", BOUNCE_LOOP},
    {"552 5.3.4 Message size exceeds fixed limit", BOUNCE_SIZE},
    {"552 5.3.4 Error: message file too big", BOUNCE_SIZE},
    {"450 4.7.1 Error: too much mail from 192.0.2.1", BOUNCE_RATE},
    {"421 4.7.0 mx.example.com Error: too many errors", BOUNCE_RATE},
    {"421 4.7.0 mx.example.com Error: too many connections from 192.0.2.1", BOUNCE_RATE},
    {"452 4.3.1 Insufficient system storage", BOUNCE_UNAVAILABLE},
    {"451 4.3.0 Error: queue file write error", BOUNCE_UNAVAILABLE},
    {"451 4.3.5 Server configuration error", BOUNCE_UNAVAILABLE},
    {"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/",
     BOUNCE_REPUTATION},
    {"554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", BOUNCE_POLICY},
    {"553 5.7.1 <bob@example.org>: Sender address rejected: not owned by user ann", BOUNCE_BAD_SENDER},
    {"421 4.4.2 mx.example.com Error: timeout exceeded", BOUNCE_NETWORK},
    {"502 5.5.2 Error: command not recognized", BOUNCE_PROTOCOL},
    {"503 5.5.1 Error: nested MAIL command", BOUNCE_PROTOCOL},
    {"555 5.5.4 Unsupported option: BODY=8BITMIME", BOUNCE_CONTENT},
    {"521 5.5.1 Protocol error", BOUNCE_PROTOCOL},
    {"421 4.3.2 All server ports are busy", BOUNCE_UNAVAILABLE},
    {"451 4.3.0 <ann@example.com>: Temporary lookup failure", BOUNCE_DNS},
    /* Exim, Sendmail, qmail, Dovecot, Rspamd, Amavis */
    {"550 Unrouteable address", BOUNCE_BAD_MAILBOX},
    {"550 relay not permitted", BOUNCE_RELAY},
    {"550-Verification failed for <bob@example.org>\n550-No Such User Here\n550 Sender verify failed",
     BOUNCE_BAD_SENDER},
    {"550 JunkMail rejected - mx1.example.com [192.0.2.1]:33242 is in an RBL, see https://www.spamhaus.org/",
     BOUNCE_REPUTATION},
    {"550 \"Your message was classified as SPAM. Please add more content\"", BOUNCE_SPAM},
    {"550 This message scored 12.3 spam points.", BOUNCE_SPAM},
    {"550 No such user here", BOUNCE_BAD_MAILBOX},
    {"550-Previous (cached) callout verification failure\n550 Sender verify failed", BOUNCE_BAD_SENDER},
    {"550 Message contains malware (Eicar-Test-Signature)", BOUNCE_CONTENT},
    {"553 5.1.8 <bob@example.org>... Domain of sender address bob@example.org does not exist",
     BOUNCE_BAD_SENDER},
    {"550 5.7.1 <ann@example.com>... Relaying denied. Proper authentication required.", BOUNCE_RELAY},
    {"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", BOUNCE_RELAY},
    {"550 sorry, no mailbox here by that name. (#5.1.1)", BOUNCE_BAD_MAILBOX},
    {"552 sorry, that message size exceeds my databytes limit (#5.3.4)", BOUNCE_SIZE},
    {"552 5.2.2 <ann@example.com> Quota exceeded (mailbox for user is full)", BOUNCE_FULL},
    {"452 4.2.2 <ann@example.com> Mailbox is full / Blocks limit exceeded / Inode limit exceeded",
     BOUNCE_FULL},
    {"554 5.7.1 Spam message rejected", BOUNCE_SPAM},
    {"451 4.7.1 Greylisting in effect, please come back later", BOUNCE_GREYLIST},
    {"451 Temporarily greylisted, please try again later.", BOUNCE_GREYLIST},
    {"554 5.7.0 Reject, id=13-02 - spam", BOUNCE_SPAM},
    {"554 5.7.0 Reject, id=13-02 - INFECTED: Win.Test.EICAR_HDB-1", BOUNCE_CONTENT},
    {"554 5.7.0 Reject, id=13-02 - BANNED: .exe", BOUNCE_CONTENT},
    {"451 4.7.1 Sorry, I have no time. Try again later", BOUNCE_POLICY},
    {"450 Requested mail action not taken: mailbox unavailable", BOUNCE_UNAVAILABLE},
    {"553 Requested action not taken: mailbox name not allowed", BOUNCE_BAD_MAILBOX},
    {"556 5.1.10 Recipient address has a null MX", BOUNCE_BAD_DOMAIN},
    {"525 5.7.13 User Account Disabled", BOUNCE_INACTIVE},
    {"523 5.7.10 Encryption Needed", BOUNCE_TLS},
    {"454 4.7.0 TLS not available due to temporary reason", BOUNCE_TLS},
    {"534 5.7.9 Please log in with your web browser", BOUNCE_RELAY},
    {"550 5.7.1 SPF check failed for bob@example.org", BOUNCE_UNAUTHENTICATED},
    {"550 5.7.23 The message was rejected because of a Sender Policy Framework violation",
     BOUNCE_UNAUTHENTICATED},
    {"550 Reverse DNS lookup failed for host 192.0.2.1", BOUNCE_UNAUTHENTICATED},
    {"550 5.7.0 Sender domain is on the URIBL", BOUNCE_REPUTATION},
    {"550 5.1.6 Recipient no longer at this address", BOUNCE_BAD_MAILBOX},
    {"550 5.4.4 Invalid domain", BOUNCE_DNS},
    {"550 5.1.2 Bad destination host 'DNS Hard Error'", BOUNCE_BAD_DOMAIN},
    {"554 Mail for example.com loops back to myself", BOUNCE_LOOP},
    {"451 4.3.2 Please try again later", BOUNCE_UNAVAILABLE},
    {"451 DNS temporary failure (return path)", BOUNCE_BAD_SENDER},
    {"554 Transaction failed", BOUNCE_OTHER},
    {"550 no", BOUNCE_OTHER},
    {"550", BOUNCE_OTHER},
    {"421", BOUNCE_UNAVAILABLE},
    {"500", BOUNCE_PROTOCOL},
};

static void knows_what_hosts_say(void **state UNUSED)
{
    size_t wrong = 0;

    assert_true(ARRAY_LEN(replies) >= 150);
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        enum bounce b = judge(replies[i].reply, "mx.example.com [192.0.2.1]:25", NULL);
        if (b == replies[i].bounce)
            continue;
        print_error("%s: %s, not %s\n", replies[i].reply, bounce_name(b), bounce_name(replies[i].bounce));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void looks_at_no_address(void **state UNUSED)
{
    assert_int_equal(judge("550 5.1.1 <rate.limit@spamhaus.org> virus-greylist@dmarc.test", "", NULL),
                     BOUNCE_BAD_MAILBOX);
    assert_int_equal(judge("550 5.1.1 @", "", NULL), BOUNCE_BAD_MAILBOX);
    assert_int_equal(judge("550 5.1.1 @@@a@", "", NULL), BOUNCE_BAD_MAILBOX);
}

static void finds_words_only_where_words_begin(void **state UNUSED)
{
    assert_int_equal(judge("554 unvirused antidkim xrbl", "", NULL), BOUNCE_OTHER);
    assert_int_equal(judge("554 un rbl", "", NULL), BOUNCE_REPUTATION);
    assert_int_equal(judge("554 xrbl,rbl", "", NULL), BOUNCE_REPUTATION);
}

static void bounds_what_a_host_can_cost(void **state UNUSED)
{
    struct verdict v = {.class = VERDICT_FAILED, .code = 4294967295u, .text = NULL};
    AUTO_BUF struct buf text = {0};

    assert_int_equal(bounce_of(&v, NULL), BOUNCE_OTHER);
    while (text.len < 4 * VERDICT_TEXT_MAX) /* starts of words of all kinds, and no word */
        buf_printf(&text, "%c%c ", 'a' + (int) (text.len / 3 % 26), 'a' + (int) (text.len / 78 % 26));
    buf_add_text(&text, "spamhaus"); /* too late */
    v.text = buf_steal_text(&text);
    assert_int_equal(bounce_of(&v, NULL), BOUNCE_OTHER);
    verdict_done(&v);
}

static void asks_the_operator_first(void **state UNUSED)
{
    char *keys[] = {"@mx.example.com 550 5.7.x LOCAL * rule",
                    "@Example.ORG",
                    "45x try * tomorrow",
                    "x",
                    "554 * 7",
                    "5.9.9",
                    "550 *"};
    char *values[] = {"spam", "rate", "greylist", "other", "content", "size", "policy"};
    const struct conf_map rules = {keys, values, ARRAY_LEN(keys)};
    char *error = NULL;

    const struct conf conf = {.courier.bounce_rules = rules};

    assert_int_equal(bounce_rules_check(&conf, &error), 0);
    assert_null(error);
    assert_int_equal(judge("550 5.7.1 a local odd rule", "MX.example.com [192.0.2.1]:25", &rules),
                     BOUNCE_SPAM);
    assert_int_equal(judge("550 5.7.1 a local odd rule", "amx.example.com [192.0.2.1]:25", &rules),
                     BOUNCE_POLICY);
    assert_int_equal(judge("550 5.1.1 user unknown", "mx1.example.org [192.0.2.1]:25", &rules), BOUNCE_RATE);
    assert_int_equal(judge("550 5.1.1 user unknown", "example.org [192.0.2.1]:25", &rules), BOUNCE_RATE);
    assert_int_equal(judge("451 Try it tomorrow", "", &rules), BOUNCE_GREYLIST);
    assert_int_equal(judge("461 Try it tomorrow", "", &rules), BOUNCE_OTHER);
    assert_int_equal(judge("554 an xylophone", "", &rules), BOUNCE_OTHER);
    assert_int_equal(judge("554 5.7.1 on page 7", "", &rules), BOUNCE_CONTENT);
    assert_int_equal(judge("553 5.9.9 hm", "", &rules), BOUNCE_SIZE);
    assert_int_equal(judge("550 5.1.1 user unknown", "", &rules), BOUNCE_POLICY);
    assert_int_equal(judge("551 5.1.1 user unknown", "", &rules), BOUNCE_BAD_MAILBOX);
}

static void assert_refused(const char *key, const char *value, const char *part)
{
    char *keys[] = {"550 fine", (char *) (uintptr_t) key}, *values[] = {"policy", (char *) (uintptr_t) value};
    const struct conf conf = {.courier.bounce_rules = {keys, values, 2}};
    char *error = NULL;

    assert_int_equal(bounce_rules_check(&conf, &error), -EINVAL);
    assert_non_null(strstr(error, "courier.bounce_rules: "));
    if (!strstr(error, part))
        fail_msg("%s", error);
    mem_free(error);
}

static void refuses_rules_it_cannot_read(void **state UNUSED)
{
    char long_words[300];

    memset(long_words, 'a', sizeof(long_words) - 1);
    long_words[sizeof(long_words) - 1] = '\0';
    assert_refused("", "policy", "\"\": expected");
    assert_refused("*", "policy", "\"*\": expected");
    assert_refused("  * * ", "policy", "expected");
    assert_refused("550 @late.test", "policy", "\"550 @late.test\": expected");
    assert_refused(long_words, "policy", "expected");
    assert_refused("550 5.1.1", "bad_mailbox", "\"bad_mailbox\" is no class; there are bad-mailbox, ");
    assert_refused("550 5.1.1", "none", "\"none\" is no class");
    assert_refused("550 5.1.1", "", "\"\" is no class");
}

static void names_each_class_once(void **state UNUSED)
{
    for (enum bounce a = BOUNCE_NONE + 1; a < BOUNCE_COUNT; a++)
        assert_int_equal(bounce_named(span_of(bounce_name(a))), a);
    assert_int_equal(bounce_named(SPAN("none")), BOUNCE_NONE);
    assert_int_equal(bounce_named(SPAN("")), BOUNCE_NONE);
}

static void our_own_rows_have_a_class(void **state UNUSED)
{
    for (enum status s = 0; s < STATUS_COUNT; s++) {
        struct verdict v = {0};
        verdict_set(&v, s, NULL);
        assert_true(v.bounce > BOUNCE_NONE && v.bounce < BOUNCE_COUNT);
        verdict_done(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(knows_what_hosts_say),
        TEST(looks_at_no_address),
        TEST(finds_words_only_where_words_begin),
        TEST(bounds_what_a_host_can_cost),
        TEST(asks_the_operator_first),
        TEST(refuses_rules_it_cannot_read),
        TEST(names_each_class_once),
        TEST(our_own_rows_have_a_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
