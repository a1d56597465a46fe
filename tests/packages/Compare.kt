package com.example.classifier

import java.io.File

/**
 * Prepares images as the library does: for every line of a file `image width height output rule...`, with the rule's
 * height, width, short side, interpolation, channels, kind, scale, zero point, planes, means and stds.
 */
fun main(args: Array<String>) = File(args[0]).forEachLine { line ->
    val words = line.split(" ")
    val pixels = File(words[0]).readBytes()
    val width = words[1].toInt()
    val height = words[2].toInt()
    val rule = words.drop(4)
    val channels = Channels.valueOf(rule[4])
    val geometry = Geometry(
        rule[0].toInt(), rule[1].toInt(), rule[2].toInt(), Interpolation.valueOf(rule[3].toUpperCase()), channels
    )
    val numbers = rule.drop(9).map { it.toFloat() }.toFloatArray()
    val encoding = InputEncoding(
        numbers.copyOfRange(0, channels.count), numbers.copyOfRange(channels.count, numbers.size),
        InputKind.valueOf(rule[5]), rule[6].toFloat(), rule[7].toInt(), rule[8].toBoolean()
    )
    val prepared = geometry.prepare(width, height) { y, row ->
        for (x in row.indices) {
            val place = 3 * (y * width + x)
            row[x] = (pixels[place].toInt() and 255 shl 16) or
                (pixels[place + 1].toInt() and 255 shl 8) or (pixels[place + 2].toInt() and 255)
        }
    }
    val buffer = encoding.allocate(geometry.height * geometry.width)
    encoding.write(prepared, buffer)
    File(words[3]).writeBytes(ByteArray(buffer.capacity()) { buffer.get(it) })
}
