#include "api/models_body.h"

#include <gtest/gtest.h>

namespace perigee::api {
namespace {

const ModelListing kModel{
    ModelId{"org/m:q8"},   1767225600, "acme \"ai\"", 4096, {SiteId{"cell-a"}, SiteId{"core"}},
    {JurisdictionId{"de"}}};
const std::string kBody = R"({"id":"org/m:q8","object":"model","created":1767225600,)"
                          R"("owned_by":"acme \"ai\"","context_length":4096,)"
                          R"("sites":["cell-a","core"],"jurisdictions":["de"]})";

TEST(ModelsBody, DescribesOneModel) { EXPECT_EQ(model_body(kModel), kBody); }

TEST(ModelsBody, ListsModelsAndNone) {
  const ModelListing models[] = {kModel, {ModelId{"b"}, 0, "o", 0, {}, {}}};
  EXPECT_EQ(models_body(models), R"({"object":"list","data":[)" + kBody +
                                     R"(,{"id":"b","object":"model","created":0,)"
                                     R"("owned_by":"o","sites":[],"jurisdictions":[]}]})");
  EXPECT_EQ(models_body({}), R"({"object":"list","data":[]})");
}

}  // namespace
}  // namespace perigee::api
