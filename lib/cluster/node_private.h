/*
 * Does: what node.c and node_view.c share.
 */
#pragma once

#include "cluster/node.h"
