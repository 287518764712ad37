// What most tests include besides.
#pragma once

#include "common.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
