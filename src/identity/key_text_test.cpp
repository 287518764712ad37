#include "identity/key_text.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

TEST(KeyText, NewKeysAreWellTypedAndSayTheirKind) {
  for (const KeyKind kind :
       {KeyKind::Tenant, KeyKind::Operator, KeyKind::Site, KeyKind::JoinToken}) {
    const std::string key = make_key(kind);
    EXPECT_TRUE(well_typed(key)) << key;
    EXPECT_EQ(kind_of_key(key), kind);
    EXPECT_NE(key, make_key(kind));
  }
  EXPECT_EQ(make_key(KeyKind::Tenant).size(), 45U);
}

TEST(KeyText, TheChecksumIsCrc32InBase62) {
  // Computed independently: zlib.crc32(b"pgk_live_" + b"0" * 30) = 130889904 = "08rCRU".
  EXPECT_TRUE(well_typed("pgk_live_" + std::string(30, '0') + "08rCRU"));
  // zlib.crc32(b"pgo_" + b"z" * 30) = 3234401167.
  EXPECT_TRUE(well_typed("pgo_" + std::string(30, 'z') + "3WtDUl"));
}

TEST(KeyText, EverySingleWrongCharacterIsFound) {
  const std::string key = make_key(KeyKind::Tenant);
  for (std::size_t i = 0; i < key.size(); ++i) {
    std::string typo = key;
    typo[i] = typo[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(well_typed(typo)) << i;
  }
  EXPECT_FALSE(well_typed(key.substr(0, key.size() - 1)));
  EXPECT_FALSE(well_typed(key + "0"));
  EXPECT_FALSE(well_typed(""));
  EXPECT_FALSE(kind_of_key("sk-1234"));
}

TEST(KeyText, AHintDoesNotGiveTheKeyAway) {
  EXPECT_EQ(key_hint("pgo_abcdefgh"), "pgo_abcd...");
  EXPECT_EQ(key_hint("x"), "x...");
}

}  // namespace
}  // namespace perigee
