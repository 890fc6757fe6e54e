/*
 * Does: holds the queued mail of a user who was disabled, in all queues, and lets it go on again.
 * Does not: touch what is held for another reason, or what others submitted in the user's name.
 * Owns: nothing.
 * Fails: exit status, said, as a campaign (campaign.h).
 */
#pragma once

#include "ctl/verb.h"

int user_mail_hold(const struct arguments *a, const char *name);
int user_mail_release(const struct arguments *a, const char *name);
