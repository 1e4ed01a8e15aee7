#!/usr/bin/env bash
# A picture, encrypted in both ways: as a sealed file, which gives back the identical file, and as a cipher picture, a
# PNG that can be looked at and sent like any other. Draws picture | cipher picture | decrypted with their histograms.
#
#   --source test|FILE   (test: a picture is made)
#   --sink   PNG         the drawing (comparison.png in --output)
#   --output DIR         where the other files stand (target/pipelines/picture)
#   --size   WxH         of the test picture
#   --keys   DIR         holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=test [sink]='' [output]=$workspace/picture [size]=640x480 [keys]=$workspace/keys)
parse_options "$@"
prepare
make_keys
folder=${option[output]}
drawing=${option[sink]:-$folder/comparison.png}
mkdir -p "$folder"

picture=${option[source]}
if [[ $picture == test ]]; then
    picture=$folder/picture.png
    option[frames]=1
    set_source
    gst-launch-1.0 -q "${source[@]}" ! videoconvert ! video/x-raw,format=RGB ! pngenc ! filesink location="$picture"
fi
require_file "$picture" "--source is test or a picture"

sealed=$folder/sealed.cveil
same=$folder/same.${picture##*.}
chaosveil encrypt --force -R "$recipient" "$picture" -o "$sealed"
chaosveil decrypt --force -i "$identity" "$sealed" -o "$same"
cmp "$picture" "$same" || fail "THE FILE DID NOT COME BACK"
say "As a sealed file:    $sealed; decrypting gives the identical file back"

chaosveil encrypt --force -R "$recipient" "$picture" -o "$folder/cipher.png"
chaosveil decrypt --force -i "$identity" "$folder/cipher.png" -o "$folder/decrypted.png"
chaosveil compare --force "$picture" "$folder/cipher.png" "$folder/decrypted.png" -o "$drawing"
say "As a cipher picture: $folder/cipher.png; decrypting gives every sample back; see $drawing"
