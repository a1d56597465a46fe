package com.example.detector

import java.io.DataInputStream
import java.io.File

/**
 * Decodes raw heads as the library does: for every line of a file `boxes logits output width height score iou most
 * inputHeight inputWidth shortSide`, of which the first two are files of floats, most significant byte first.
 */
fun main(args: Array<String>) = File(args[0]).forEachLine { line ->
    val words = line.split(" ")
    fun floats(name: String) = DataInputStream(File(name).inputStream().buffered()).use { stream ->
        FloatArray((File(name).length() / 4).toInt()) { stream.readFloat() }
    }
    val geometry = Geometry(
        words[8].toInt(), words[9].toInt(), words[10].toInt(), Interpolation.BILINEAR, Channels.RGB
    )
    val found = ModelContract.detections.decode(
        floats(words[0]), floats(words[1]), List(ModelContract.CLASSES) { "label $it" },
        geometry.seen(words[3].toInt(), words[4].toInt()), words[5].toFloat(), words[6].toFloat(), words[7].toInt()
    )
    File(words[2]).printWriter().use { writer ->
        for (item in found) {
            check(item.label == "label ${item.index}")
            val box = item.box
            writer.println("${item.index} ${item.score} ${box.left} ${box.top} ${box.right} ${box.bottom}")
        }
    }
}
