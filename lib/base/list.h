/*
 * Does: intrusive doubly linked lists; an entry sits in the struct it links.
 * Does not: allocate or free.
 * Owns: nothing.
 * Fails: never. An entry in no list has next == NULL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *entry)
{
    return entry->next != NULL;
}

static inline void list_append(struct list *head, struct list *entry)
{
    entry->prev = head->prev;
    entry->next = head;
    head->prev->next = entry;
    head->prev = entry;
}

static inline void list_prepend(struct list *head, struct list *entry)
{
    list_append(head->next, entry);
}

/* Harmless for an entry in no list. */
static inline void list_remove(struct list *entry)
{
    if (!entry->next)
        return;
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    entry->next = entry->prev = NULL;
}

#define LIST_ENTRY(entry, type, member) CONTAINER_OF(entry, type, member)
#define LIST_FIRST(head, type, member) (list_is_empty(head) ? NULL : LIST_ENTRY((head)->next, type, member))
/* The body may remove `it`, nothing else. */
#define LIST_EACH(head, it, save) \
    for (struct list *it = (head)->next, *save = it->next; it != (head); it = save, save = it->next)
